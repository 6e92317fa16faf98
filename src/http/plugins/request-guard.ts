import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { repeatedHeader } from '../header-names.ts';
import { originForm, urlProblem } from '../url-problem.ts';
import { type FieldProblem, invalidRequest } from '../validation-problems.ts';

/** No route has this path, so a URL rewritten to it meets the hooks of a 404. */
const REFUSED_PATH = '/refused-url';

/** What the rewriting found, until the hook comes by. */
const urlProblems = new WeakMap<IncomingMessage, string>();

/**
 * Sends a URL that cannot be routed down the same way as every other: through ids, rate limit, log and metrics, to be
 * refused by {@link guardRequests}. Fastify's own way for bad URLs runs none of the hooks.
 */
export function rewriteUrl(request: IncomingMessage): string {
  const url = originForm(request.url ?? '');
  const problem = urlProblem(url);
  if (problem === undefined) return url;
  urlProblems.set(request, problem);
  return REFUSED_PATH;
}

/** The first way in which a request is ambiguous before any route has looked at it. */
function problemOf(request: IncomingMessage, query: unknown): FieldProblem | undefined {
  const url = urlProblems.get(request);
  if (url !== undefined) return { in: 'path', name: 'path', problem: url };
  // HTTP/1.1 asks for it. Node would refuse by itself, but with an empty answer.
  if (request.headers.host === undefined && request.httpVersion === '1.1') {
    return { in: 'header', name: 'Host', problem: 'is missing' };
  }
  const header = repeatedHeader(request.rawHeaders);
  if (header !== undefined) return { in: 'header', name: header, problem: 'must be given once' };
  const repeated = Object.entries(query ?? {}).find(([, value]) => Array.isArray(value));
  if (repeated !== undefined) return { in: 'query', name: repeated[0], problem: 'must be given once' };
  return undefined;
}

/** Refuses, with 400, URLs that cannot be read and headers or query parameters that are there twice. */
export function guardRequests(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const problem = problemOf(request.raw, request.query);
    if (problem !== undefined) throw invalidRequest([problem]);
    done();
  });
}
