import { describe, expect, test } from 'vitest';
import {
  type AttemptReport,
  createRetry,
  DEFAULT_RETRY_POLICY,
  type RetryDeps,
  type RunReport,
} from '../../../src/safety/retry/retry.ts';

/** A retry whose waits take no time but count as if they did, and all that it told. */
function setUp(deps: RetryDeps = {}) {
  let nowMs = 0;
  const waits: number[] = [];
  const attempts: AttemptReport[] = [];
  const ends: RunReport[] = [];
  const retry = createRetry({
    random: () => 0.5,
    monotonicMs: () => nowMs,
    wait: async (ms) => {
      waits.push(ms);
      nowMs += ms;
    },
    onAttempt: (report) => attempts.push(report),
    onEnd: (report) => ends.push(report),
    ...deps,
  });
  return { retry, waits, attempts, ends, pass: (ms: number) => (nowMs += ms) };
}

const never = () => new AbortController().signal;
const down = () => Object.assign(new Error('down'), { status: 503 });
const failing = (error: () => Error) => {
  const numbers: number[] = [];
  const attempt = async (n: number): Promise<never> => {
    numbers.push(n);
    throw error();
  };
  return { attempt, numbers };
};

describe('a run', () => {
  test('that succeeds is one attempt without a wait', async () => {
    const { retry, waits, attempts, ends } = setUp();
    expect(await retry.run('task', async (n) => `result ${n}`, { signal: never() })).toBe('result 1');
    expect(waits).toEqual([]);
    expect(attempts).toEqual([{ task: 'task', attempt: 1 }]);
    expect(ends).toEqual([{ task: 'task', result: 'success', resumable: false }]);
  });

  test('by default retries three times, after 1, 2 and 4 seconds, and throws the last error', async () => {
    const { retry, waits, ends } = setUp();
    const { attempt, numbers } = failing(down);
    await expect(retry.run('task', attempt, { signal: never() })).rejects.toThrow('down');
    expect(numbers).toEqual([1, 2, 3, 4]);
    expect(waits).toEqual([1_000, 2_000, 4_000]);
    expect(ends).toEqual([{ task: 'task', result: 'failed', resumable: false }]);
    expect(DEFAULT_RETRY_POLICY).toMatchObject({ retries: 3, baseMs: 1_000, maxMs: 60_000, multiplier: 2 });
  });

  test('takes up as soon as an attempt succeeds', async () => {
    const { retry, waits, attempts } = setUp();
    const result = await retry.run('task', async (n) => (n < 3 ? Promise.reject(down()) : n), {
      signal: never(),
    });
    expect(result).toBe(3);
    expect(waits).toEqual([1_000, 2_000]);
    expect(attempts.map(({ attempt, waitMs }) => [attempt, waitMs])).toEqual([
      [1, 1_000],
      [2, 2_000],
      [3, undefined],
    ]);
  });

  test('has options of its own', async () => {
    const { retry, waits } = setUp();
    const { attempt, numbers } = failing(down);
    const options = { signal: never(), retries: 5, baseMs: 10, multiplier: 3, maxMs: 100 };
    await expect(retry.run('task', attempt, options)).rejects.toThrow('down');
    expect(numbers).toHaveLength(6);
    expect(waits).toEqual([10, 30, 90, 100, 100]);
  });

  test('with no retries is one attempt', async () => {
    const { retry } = setUp({ policy: { retries: 0 } });
    const { attempt, numbers } = failing(down);
    await expect(retry.run('task', attempt, { signal: never() })).rejects.toThrow('down');
    expect(numbers).toEqual([1]);
  });

  test('is not repeated for an error that will not pass', async () => {
    const { retry, attempts } = setUp();
    const { attempt, numbers } = failing(() => Object.assign(new Error('no'), { status: 404 }));
    await expect(retry.run('task', attempt, { signal: never() })).rejects.toThrow('no');
    expect(numbers).toEqual([1]);
    expect(attempts).toHaveLength(1);
  });

  test('asks the classifier of the call', async () => {
    const { retry } = setUp();
    const { attempt, numbers } = failing(() => new Error('whatever'));
    const classify = () => ({ retry: false as const });
    await expect(retry.run('task', attempt, { signal: never(), classify })).rejects.toThrow('whatever');
    expect(numbers).toEqual([1]);
  });

  test('goes on though whoever listens fails', async () => {
    const fail = () => {
      throw new Error('statistics are down');
    };
    const { retry } = setUp({ onAttempt: fail, onEnd: fail });
    expect(await retry.run('task', async () => 'fine', { signal: never() })).toBe('fine');
  });
});

test('Retry-After wins over the backoff, however long it is', async () => {
  const { retry, waits } = setUp();
  const attempt = async (n: number) =>
    n === 1
      ? Promise.reject(Object.assign(new Error('slower'), { status: 429, retryAfterMs: 90_000 }))
      : 'fine';
  expect(await retry.run('task', attempt, { signal: never() })).toBe('fine');
  expect(waits).toEqual([90_000]);
});

test('a run that waits long shows that it is alive', async () => {
  const { retry, waits } = setUp();
  const attempt = async (n: number) =>
    n === 1 ? Promise.reject(Object.assign(down(), { retryAfterMs: 25_000 })) : 'fine';
  let beats = 0;
  const onProgress = () => void beats++;
  expect(await retry.run('task', attempt, { signal: never(), onProgress })).toBe('fine');
  expect(waits).toEqual([10_000, 10_000, 5_000]);
  // One for the attempt that failed, one for each part of the wait.
  expect(beats).toBe(4);
});

describe('the total deadline', () => {
  test('ends the run rather than wait past it', async () => {
    const { retry, waits } = setUp();
    const { attempt, numbers } = failing(down);
    await expect(retry.run('task', attempt, { signal: never(), totalMs: 3_000 })).rejects.toThrow('down');
    expect(numbers).toEqual([1, 2]);
    expect(waits).toEqual([1_000]);
  });

  test('ends it at once when Retry-After is later', async () => {
    const { retry, waits } = setUp();
    const { attempt } = failing(() => Object.assign(down(), { retryAfterMs: 86_400_000 }));
    await expect(retry.run('task', attempt, { signal: never() })).rejects.toThrow('down');
    expect(waits).toEqual([]);
  });

  test('is not run into with an attempt that would have too little time', async () => {
    const { retry, pass } = setUp();
    const numbers: number[] = [];
    const slow = async (n: number) => {
      numbers.push(n);
      pass(15_000);
      throw down();
    };
    // 15 s, 1 s, 15 s, 2 s: 7 of 40 s are left.
    const options = { signal: never(), totalMs: 40_000, attemptMs: 20_000 };
    await expect(retry.run('task', slow, options)).rejects.toThrow('down');
    expect(numbers).toEqual([1, 2]);
  });

  test('stops an attempt that hangs, and that was the last one', async () => {
    const { retry, ends } = setUp();
    let attempts = 0;
    const hang = (_n: number, signal: AbortSignal) => {
      attempts++;
      return new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(down()));
      });
    };
    await expect(retry.run('task', hang, { signal: never(), totalMs: 20 })).rejects.toThrow('down');
    expect(attempts).toBe(1);
    expect(ends).toMatchObject([{ result: 'failed' }]);
  });
});

describe('giving up', () => {
  test('ends the wait at once', async () => {
    const caller = new AbortController();
    const ends: RunReport[] = [];
    // Waits as in production, until the signal fires.
    const retry = createRetry({
      onAttempt: () => caller.abort(),
      onEnd: (report) => ends.push(report),
      policy: { baseMs: 60_000 },
    });
    const { attempt, numbers } = failing(down);
    await expect(retry.run('task', attempt, { signal: caller.signal })).rejects.toThrow('down');
    expect(numbers).toEqual([1]);
    expect(ends).toMatchObject([{ result: 'aborted' }]);
  });

  test('reaches the attempt under way', async () => {
    const caller = new AbortController();
    const { retry } = setUp();
    const attempt = (_n: number, signal: AbortSignal) => {
      caller.abort();
      return signal.aborted ? Promise.reject(down()) : Promise.resolve('not told');
    };
    await expect(retry.run('task', attempt, { signal: caller.signal })).rejects.toThrow('down');
  });

  test('beforehand means no attempt', async () => {
    const { retry } = setUp();
    const { attempt, numbers } = failing(down);
    await expect(retry.run('task', attempt, { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
    expect(numbers).toEqual([]);
  });

  test('a process that stops sees the attempt through and begins no other', async () => {
    const stop = new AbortController();
    const { retry, ends } = setUp({ stopping: stop.signal });
    const numbers: number[] = [];
    const attempt = async (n: number, signal: AbortSignal) => {
      numbers.push(n);
      stop.abort();
      expect(signal.aborted).toBe(false);
      throw down();
    };
    await expect(retry.run('task', attempt, { signal: never() })).rejects.toThrow('down');
    expect(numbers).toEqual([1]);
    expect(ends).toMatchObject([{ result: 'aborted' }]);
  });
});

test.each([
  { retries: -1 },
  { retries: 1.5 },
  { totalMs: 0 },
  { totalMs: 2 ** 31 },
  { attemptMs: -1 },
  { baseMs: 0 },
])('the policy %o is refused when it is made', (policy) => {
  expect(() => createRetry({ policy })).toThrow(RangeError);
});
