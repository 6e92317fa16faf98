import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { BrokerError, StoreUnavailableError } from '../../../src/domain/errors.ts';
import { classify, healthOf } from '../../../src/safety/retry/retryable.ts';
import { ConditionFailedError, TransactionCancelledError } from '../../../src/store/dynamo/errors.ts';
import { freePort } from '../../support/listen.ts';

const withStatus = (status: number, retryAfterMs?: number) =>
  Object.assign(new Error('answered'), { status, ...(retryAfterMs !== undefined && { retryAfterMs }) });
const aborted = () => Object.assign(new Error('given up'), { name: 'AbortError' });
const reset = () => Object.assign(new Error('cut'), { code: 'ECONNRESET' });

describe('never retried is', () => {
  test.each<[string, unknown]>([
    ['a 404', withStatus(404)],
    ['a 4xx, even one with Retry-After', withStatus(403, 1_000)],
    ['a failed condition', new ConditionFailedError(undefined, undefined)],
    ['a cancelled transaction', new TransactionCancelledError([], undefined)],
    ['a validation error', z.string().safeParse(1).error],
    ['a value out of range', new RangeError('no')],
    ['a mistake in the program', new TypeError('no')],
    ['a mistake in what is fetched', new TypeError('fetch failed', { cause: new TypeError('Invalid URL') })],
    ['a 429 without Retry-After', withStatus(429)],
    ["the broker's own refusal", new BrokerError('INVALID_STATE', 'no')],
    ['a store call that the store has retried already', new StoreUnavailableError(undefined)],
    ['an abort', aborted()],
    ['what is no error', 'a string'],
  ])('%s', (_, error) => {
    expect(classify(error)).toEqual({ retry: false });
  });
});

test('what fetch throws for an address where nobody listens is retried', async () => {
  const error: unknown = await fetch(`http://127.0.0.1:${await freePort()}`).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TypeError);
  expect(classify(error)).toEqual({ retry: true });
  expect(healthOf(error)).toBe('failure');
});

describe('retried is', () => {
  test.each<[string, unknown]>([
    ['a 5xx of anybody', withStatus(500)],
    ["anybody's broken connection", reset()],
    ['what fetch throws for one', new TypeError('fetch failed', { cause: reset() })],
    ['a time-out', AbortSignal.abort(new DOMException('late', 'TimeoutError')).reason],
  ])('%s', (_, error) => {
    expect(classify(error)).toEqual({ retry: true });
  });

  test.each<[string, unknown]>([["anybody's 429", withStatus(429, 7_000)]])(
    '%s with Retry-After, when that is over',
    (_, error) => {
      expect(classify(error)).toEqual({ retry: true, afterMs: 7_000 });
    },
  );
});

test.each<[string, unknown, string]>([
  ["anybody's 5xx", withStatus(502), 'failure'],
  ['a broken connection', reset(), 'failure'],
  ['what is no error', 'a string', 'failure'],
  ["anybody's 404", withStatus(404), 'answered'],
  ['an abort', aborted(), 'ignored'],
  ['our own store', new StoreUnavailableError(undefined), 'ignored'],
])("%s says about the far side's health: %s", (_, error, expected) => {
  expect(healthOf(error)).toBe(expected);
});
