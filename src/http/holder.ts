import { invalidRequest } from './validation-problems.ts';

type HolderHeaders = Readonly<Record<string, unknown>>;

/** Whom a track's call is for, if it says so. */
export function holderNamed(headers: HolderHeaders): string | undefined {
  const holder = headers['x-instruqt-sandbox-id'] ?? headers['x-track-id'];
  return holder === undefined ? undefined : String(holder);
}

/** Whom a track's call is for. Throws `INVALID_REQUEST` where it says nothing of it. */
export function holderOf(headers: HolderHeaders): string {
  const holder = holderNamed(headers);
  if (holder !== undefined) return holder;
  const problem = 'is needed (or X-Track-ID): it says who holds the sandbox';
  throw invalidRequest([{ in: 'header', name: 'X-Instruqt-Sandbox-ID', problem }]);
}
