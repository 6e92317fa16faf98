import { expect, test } from 'vitest';
import { BrokerError, StoreUnavailableError } from '../../../src/domain/errors.ts';
import { type Answer, shareAttempts } from '../../../src/usecases/leases/share-attempts.ts';

/** Calls under one key, each with a deadline of its own; their attempts end when the test says so. */
function callers() {
  const share = shareAttempts<string>();
  const attempts: {
    by: string;
    tooEarly: string | undefined;
    find(result: string): void;
    fail(error: Error): void;
  }[] = [];
  function ask(by: string) {
    const deadline = new AbortController();
    const calling = share('key', deadline.signal, (tooEarly) => {
      const { promise, resolve, reject } = Promise.withResolvers<Answer<string>>();
      const askedAtMs = performance.now();
      attempts.push({ by, tooEarly, find: (result) => resolve({ result, askedAtMs }), fail: reject });
      return promise;
    });
    calling.catch(() => undefined);
    return { calling, timeIsOver: () => deadline.abort(new Error('deadline')) };
  }
  return { ask, attempts, by: () => attempts.map((attempt) => attempt.by) };
}

const settled = () => new Promise(setImmediate);
const outOfReach = () => new StoreUnavailableError(new Error('no answer'));

test('calls that come before the store is asked share what it says', async () => {
  const { ask, attempts, by } = callers();
  const first = ask('first');
  attempts[0]?.find('too early for the others');
  const others = [ask('second'), ask('third')];
  expect(await first.calling).toEqual({ result: 'too early for the others', isShared: false });
  await settled();
  expect(by()).toEqual(['first', 'second']);
  expect(attempts[1]?.tooEarly).toBe('too early for the others');
  attempts[1]?.find('found');
  expect(await Promise.all(others.map(({ calling }) => calling))).toEqual([
    { result: 'found', isShared: false },
    { result: 'found', isShared: true },
  ]);
});

test("a call whose time is over does not wait for another's attempt, which goes on", async () => {
  const { ask, attempts, by } = callers();
  const first = ask('first');
  const hurried = ask('hurried');
  hurried.timeIsOver();
  await expect(hurried.calling).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterSeconds: 1 });
  attempts[0]?.find('found');
  expect((await first.calling).result).toBe('found');
  expect(by()).toEqual(['first']);
});

test("a call with time left makes its own attempt when the first one's time is over", async () => {
  const { ask, attempts, by } = callers();
  const first = ask('first');
  const late = ask('late');
  first.timeIsOver();
  attempts[0]?.fail(outOfReach());
  await expect(first.calling).rejects.toThrow(StoreUnavailableError);
  await settled();
  expect(by()).toEqual(['first', 'late']);
  attempts[1]?.find('found');
  expect(await late.calling).toEqual({ result: 'found', isShared: false });
});

test('a failure is for all who were there when its attempt began, and for no one who came later', async () => {
  const { ask, attempts, by } = callers();
  const first = ask('first');
  const others = [ask('second'), ask('third')];
  attempts[0]?.fail(outOfReach());
  await expect(first.calling).rejects.toThrow(StoreUnavailableError);
  await settled();
  // One of them tries once more, for both.
  expect(by()).toEqual(['first', 'second']);
  attempts[1]?.fail(outOfReach());
  for (const { calling } of others) await expect(calling).rejects.toThrow(StoreUnavailableError);
  expect(by()).toEqual(['first', 'second']);
});

test('a refusal that another attempt would not change is told to all at once', async () => {
  const { ask, attempts, by } = callers();
  const both = [ask('first'), ask('second')];
  attempts[0]?.fail(new BrokerError('IDEMPOTENCY_KEY_REUSED', 'another request'));
  for (const { calling } of both)
    await expect(calling).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  expect(by()).toEqual(['first']);
});
