import { HTTP_LIMITS } from './limits.ts';

/** Text that must not reach an id, a log or a terminal. */
const CONTROL_CHARACTER = /\p{Cc}/u;

/** What is wrong with a request's URL, or undefined. */
export function urlProblem(url: string): string | undefined {
  if (url.length > HTTP_LIMITS.urlLength) return `is longer than ${HTTP_LIMITS.urlLength} characters`;
  if (!url.startsWith('/')) return 'does not begin with a slash';
  const [path = ''] = url.split(/[?#]/, 1);
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return 'has a percent sign that is not followed by UTF-8 in hexadecimal';
  }
  return CONTROL_CHARACTER.test(decoded) ? 'has a control character' : undefined;
}

/** Path and query of the absolute form (`GET http://host/path`), which a proxy may send; others come back as they are. */
export function originForm(url: string): string {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return url;
  const { pathname, search } = new URL(url);
  return pathname + search;
}
