import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { BrokerError, StoreUnavailableError } from '../../src/domain/errors.ts';
import { ProviderError } from '../../src/provider/provider.ts';
import {
  classifyCall,
  classifyDelete,
  healthOfCall,
  healthOfDelete,
  tripOfCall,
} from '../../src/provider/verdicts.ts';
import { ConditionFailedError, TransactionCancelledError } from '../../src/store/dynamo/errors.ts';

const withStatus = (status: number, retryAfterMs?: number) =>
  Object.assign(new Error('answered'), { status, ...(retryAfterMs !== undefined && { retryAfterMs }) });
const aborted = () => Object.assign(new Error('given up'), { name: 'AbortError' });
const reset = () => Object.assign(new Error('cut'), { code: 'ECONNRESET' });

describe('never retried is', () => {
  test.each<[string, unknown]>([
    ['a 4xx of the provider', new ProviderError('rejected', 'no', { status: 400 })],
    ['a 404', withStatus(404)],
    ['a wrong token', new ProviderError('unauthorized', 'who?', { status: 401 })],
    ['a 4xx, even one with Retry-After', withStatus(403, 1_000)],
    ['a 429 without Retry-After', new ProviderError('rate_limited', 'slower', { status: 429 })],
    ['a failed condition', new ConditionFailedError(undefined, undefined)],
    ['a cancelled transaction', new TransactionCancelledError([], undefined)],
    ['a validation error', z.string().safeParse(1).error],
    ['a value out of range', new RangeError('no')],
    ['a mistake in the program', new TypeError('no')],
    ["the broker's own refusal", new BrokerError('INVALID_STATE', 'no')],
    ['a store call that the store has retried already', new StoreUnavailableError(undefined)],
    ['a call that was given up', new ProviderError('aborted', 'given up')],
    ['an abort', aborted()],
    ['what is no error', 'a string'],
  ])('%s', (_, error) => {
    expect(classifyCall(error)).toEqual({ retry: false });
  });
});

describe('retried is', () => {
  test.each<[string, unknown]>([
    ['a 5xx', new ProviderError('server_error', 'down', { status: 503 })],
    ['a 5xx of anybody', withStatus(500)],
    ['an answer that is not understood', new ProviderError('bad_response', 'HTML', { status: 200 })],
    ["a proxy's page that says 404", new ProviderError('bad_response', 'HTML', { status: 404 })],
    ['a time-out', new ProviderError('timeout', 'late')],
    ['a broken connection', new ProviderError('network', 'cut')],
    ["anybody's broken connection", reset()],
  ])('%s', (_, error) => {
    expect(classifyCall(error)).toEqual({ retry: true });
  });

  test.each<[string, unknown]>([
    ['a 429', new ProviderError('rate_limited', 'slower', { status: 429, retryAfterMs: 7_000 })],
    ["anybody's 429", withStatus(429, 7_000)],
    ['a 503', new ProviderError('server_error', 'later', { status: 503, retryAfterMs: 7_000 })],
  ])('%s with Retry-After, when that is over', (_, error) => {
    expect(classifyCall(error)).toEqual({ retry: true, afterMs: 7_000 });
  });
});

test.each<[string, unknown, string]>([
  ['a 5xx', new ProviderError('server_error', 'down', { status: 500 }), 'failure'],
  ["anybody's 5xx", withStatus(502), 'failure'],
  ['a body that is not JSON', new ProviderError('bad_response', 'HTML', { status: 200 }), 'failure'],
  ['a time-out', new ProviderError('timeout', 'late'), 'failure'],
  ['a broken connection', reset(), 'failure'],
  ['what is no error', 'a string', 'failure'],
  ['a 4xx', new ProviderError('rejected', 'no', { status: 409 }), 'answered'],
  ["anybody's 404", withStatus(404), 'answered'],
  ['a 429', new ProviderError('rate_limited', 'slower', { status: 429 }), 'answered'],
  ['a wrong token', new ProviderError('unauthorized', 'who?', { status: 401 }), 'failure'],
  ['a refusal before anything was sent', new ProviderError('rejected', 'no uuid'), 'ignored'],
  ['a call that was given up', new ProviderError('aborted', 'given up'), 'ignored'],
  ['an abort', aborted(), 'ignored'],
  ['our own store', new StoreUnavailableError(undefined), 'ignored'],
])("%s says about the far side's health: %s", (_, error, expected) => {
  expect(healthOfCall(error)).toBe(expected);
});

test('a delete that may be under way still is not sent again, and a limit counts', () => {
  const late = new ProviderError('timeout', 'late');
  expect([classifyCall(late), classifyDelete(late)]).toEqual([{ retry: true }, { retry: false }]);
  const limit = new ProviderError('rate_limited', 'slower', { status: 429, retryAfterMs: 7_000 });
  expect([healthOfCall(limit), healthOfDelete(limit)]).toEqual(['answered', 'failure']);
  expect(tripOfCall(limit)).toEqual({ why: 'rate_limited', retryAfterMs: 7_000 });
});
