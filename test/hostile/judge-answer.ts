import { HTTP_STATUS } from '../../src/http/error-handler.ts';
import type { Exchange, RawAnswer } from './raw-http.ts';

const ERROR_FIELDS = ['code', 'message', 'request_id', 'retry_after', 'details'];
const statusOf = new Map<string, number>(Object.entries(HTTP_STATUS));

function errorProblems({ status, headers, body }: RawAnswer): string[] {
  let error: Record<string, unknown>;
  try {
    ({ error } = JSON.parse(body));
  } catch {
    return [`${status} is not in JSON: ${body.slice(0, 200)}`];
  }
  const problems: string[] = [];
  const { code, message, request_id: requestId, retry_after: retryAfter } = error ?? {};
  if (statusOf.get(String(code)) !== status) problems.push(`${status} has the code ${String(code)}`);
  if (typeof message !== 'string' || !/[.?]$/.test(message)) problems.push(`${status} has no sentence`);
  if (typeof requestId !== 'string' || requestId !== headers['x-request-id']) {
    problems.push(`${status} has not the request's id`);
  }
  if (headers['retry-after'] !== (retryAfter === undefined ? undefined : String(retryAfter))) {
    problems.push(`${status} says ${String(retryAfter)} and Retry-After ${headers['retry-after']}`);
  }
  const odd = Object.keys(error ?? {}).filter((field) => !ERROR_FIELDS.includes(field));
  if (odd.length > 0) problems.push(`${status} has the fields ${odd.join(', ')}`);
  // What a stack, a file or a driver would look like.
  if (/node_modules|\.ts:\d|at \w+ \(|ValidationException|DynamoDB/.test(body)) {
    problems.push(`${status} shows its inside: ${body.slice(0, 300)}`);
  }
  return problems;
}

/** What is wrong with an answer, whatever was asked. */
export function answerProblems(answer: RawAnswer, method = 'GET'): string[] {
  const { status, headers } = answer;
  const problems: string[] = [];
  const isLawful = status === 503 && headers['retry-after'] !== undefined;
  if (status >= 500 && !isLawful) problems.push(`${status}: ${answer.body.slice(0, 300)}`);
  if (headers['x-request-id'] === undefined) problems.push(`${status} has no X-Request-ID`);
  if (headers['x-correlation-id'] === undefined) problems.push(`${status} has no X-Correlation-ID`);
  if (headers['x-content-type-options'] !== 'nosniff') problems.push(`${status} lets its type be guessed`);
  if (status >= 400 && method !== 'HEAD') problems.push(...errorProblems(answer));
  return problems;
}

/** What is wrong with what one connection gave back. */
export function exchangeProblems(
  { answers, rest, end }: Exchange,
  methods: readonly string[] = [],
): string[] {
  return [
    ...(end === 'hang' ? ['the connection hangs'] : []),
    // The stream's answer is never complete.
    ...(rest !== '' && end !== 'stream' ? [`bytes that are no answer: ${rest.slice(0, 200)}`] : []),
    ...answers.flatMap((answer, index) => answerProblems(answer, methods[index])),
  ];
}
