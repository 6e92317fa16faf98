import { BrokerError } from '../domain/errors.ts';
import { headerName } from './header-names.ts';

/** One thing that is wrong with a request: where, which field, and what would be right. */
export interface FieldProblem {
  in: 'header' | 'query' | 'path' | 'body';
  name: string;
  problem: string;
}

/** What the zod validator leaves in Fastify's error, one for each issue. */
interface Issue {
  keyword?: string;
  instancePath?: string;
  message?: string;
  params?: { keys?: unknown };
}

const PLACES = { headers: 'header', querystring: 'query', params: 'path', body: 'body' } as const;
const PLACE_NAMES = {
  header: 'Header',
  query: 'Query parameter',
  path: 'Path parameter',
  body: 'Body field',
};
/** A body of 16 KiB can hold thousands of unknown names; the answer repeats a few of them, shortened. */
const MAX_PROBLEMS = 10;
const MAX_NAME_LENGTH = 64;

/** The 400 that names the fields: `{fields: [{in, name, problem}]}` in the details, the first one in the message. */
export function invalidRequest(problems: readonly FieldProblem[]): BrokerError {
  const fields = problems.slice(0, MAX_PROBLEMS).map((problem) => ({
    ...problem,
    name: problem.name.slice(0, MAX_NAME_LENGTH),
  }));
  const [first] = fields;
  const message = first === undefined ? 'The request is not valid.' : describe(first);
  return new BrokerError('INVALID_REQUEST', message, { details: { fields } });
}

/**
 * The problems in a validation error of Fastify's.
 * @param context Which part of the request was looked at, as Fastify names it.
 * @param known The names that part may have, told to whoever used another one; undefined: it depends on the rest.
 */
export function fieldProblems(
  issues: readonly Issue[],
  context: string | undefined,
  known: readonly string[] | undefined,
): FieldProblem[] {
  const place = isContext(context) ? PLACES[context] : 'body';
  return issues.flatMap((issue): FieldProblem[] => {
    if (issue.keyword === 'unrecognized_keys' && Array.isArray(issue.params?.keys)) {
      return issue.params.keys.map((key: unknown) => ({
        in: place,
        name: String(key),
        problem: `is not known here${alternatives(known)}`,
      }));
    }
    const path = issue.instancePath?.replace(/^\//, '') ?? '';
    const name = place === 'header' ? headerName(path) : path;
    return [{ in: place, name: name === '' ? place : name, problem: issue.message ?? 'is not valid' }];
  });
}

function alternatives(known: readonly string[] | undefined): string {
  if (known === undefined) return '';
  if (known.length === 0) return ': nothing is';
  return `: ${known.join(', ')} ${known.length === 1 ? 'is' : 'are'}`;
}

function isContext(context: string | undefined): context is keyof typeof PLACES {
  return context !== undefined && context in PLACES;
}

function describe({ in: place, name, problem }: FieldProblem): string {
  return name === place ? `The ${place} ${problem}.` : `${PLACE_NAMES[place]} ${name} ${problem}.`;
}
