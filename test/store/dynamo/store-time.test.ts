import { createServer } from 'node:http';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createStoreTime, trustedClock } from '../../../src/store/dynamo/store-time.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, createFakeClock, uniqueTable } from '../../support/broker/core.ts';
import { listenForTest } from '../../support/listen.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const HOUR_SECONDS = 3_600;

describeOnEngines("the store's time", ({ endpoint }) => {
  function connect() {
    const time = createStoreTime();
    const clock = createFakeClock(Date.now());
    const { client, calls } = createCountingClient(endpoint, uniqueTable(), { time });
    onTestFinished(() => client.close());
    return { client, calls, clock, trusted: trustedClock(clock, client), time };
  }

  test('is known from the opening of the table on, and costs no call of its own', async () => {
    const { client, clock, time } = connect();
    expect(time.offsetMs(clock.nowMs())).toBeUndefined();
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    expect(time.offsetMs(Date.now())).toBe(0);
  });

  test('is told by a refusal, too', async () => {
    const { client, time } = connect();
    await expect(client.get({ pk: 'x', sk: 'x' })).rejects.toThrow();
    expect(time.offsetMs(Date.now())).toBe(0);
  });

  test.for([
    ['ahead', HOUR_SECONDS],
    ['behind', -HOUR_SECONDS],
    ['just too far ahead', 33],
    ['just too far behind', -33],
  ] as const)('a clock that is %s cannot be read, and can as soon as it is right', async ([, seconds]) => {
    const { client, clock, trusted } = connect();
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    clock.set(Date.now() + seconds * 1_000);
    expect(() => trusted.nowMs()).toThrow(expect.objectContaining({ code: 'CLOCK_OFF' }));
    clock.set(Date.now());
    expect(trusted.nowMs()).toBe(clock.nowMs());
  });

  test.for([25, -25])('a clock that is %d s off is good enough', async (seconds) => {
    const { client, clock, trusted } = connect();
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    clock.set(Date.now() + seconds * 1_000);
    expect(trusted.nowMs()).toBe(clock.nowMs());
  });
});

test('a store that refuses the signature of a clock that is off is asked again, with a better one', async () => {
  const time = createStoreTime();
  let calls = 0;
  const server = createServer((_request, response) => {
    const refused = calls++ === 0;
    response.writeHead(refused ? 400 : 200, {
      'content-type': 'application/x-amz-json-1.0',
      date: new Date(Date.now() - HOUR_SECONDS * 1_000).toUTCString(),
    });
    response.end(refused ? '{"__type":"com.amazon.coral.service#InvalidSignatureException"}' : '{}');
  });
  const endpoint = await listenForTest(server);
  const { client } = createCountingClient(endpoint, 'any', { time });
  onTestFinished(() => client.close());
  expect(await client.get({ pk: 'x', sk: 'x' })).toBeUndefined();
  expect(calls).toBe(2);
  expect(time.offsetMs(Date.now())).toBeGreaterThan((HOUR_SECONDS - 10) * 1_000);
});

describe('an offset', () => {
  /** A store's time on monotonic and wall clocks that the test owns. */
  function start() {
    let monotonicMs = 1_000;
    vi.spyOn(performance, 'now').mockImplementation(() => monotonicMs);
    onTestFinished(() => void vi.restoreAllMocks());
    const time = createStoreTime();
    const storeMs = Date.UTC(2030, 0, 1, 9);
    return {
      time,
      storeMs,
      pass: (ms: number) => {
        monotonicMs += ms;
      },
      /** A call that took so long, whose answer was dated then. */
      answer: (dateMs: number, tookMs: number) =>
        time.observe(new Date(dateMs).toUTCString(), monotonicMs - tookMs, monotonicMs),
    };
  }

  test('is unknown where the store never says its time, or says it in no way that can be read', () => {
    const { time, storeMs } = start();
    time.observe(undefined, 0, 1);
    time.observe('soon', 0, 1);
    expect(time.offsetMs(storeMs)).toBeUndefined();
    const clock = createFakeClock(storeMs);
    expect(trustedClock(clock, { time }).nowMs()).toBe(storeMs);
  });

  test('leaves out what the second and the way of the answer may hide', () => {
    const { time, storeMs, answer } = start();
    answer(storeMs, 400);
    expect(time.offsetMs(storeMs + 1_399)).toBe(0);
    expect(time.offsetMs(storeMs + 1_400)).toBe(1);
    expect(time.offsetMs(storeMs)).toBe(0);
    expect(time.offsetMs(storeMs - 1)).toBe(-1);
  });

  test('is known at once when the clock jumps, however long ago the store was heard of', () => {
    const { time, storeMs, answer, pass } = start();
    answer(storeMs, 0);
    pass(60_000);
    expect(time.offsetMs(storeMs + 60_000)).toBe(0);
    expect(time.offsetMs(storeMs + 60_000 + HOUR_SECONDS * 1_000)).toBe(HOUR_SECONDS * 1_000 - 999);
  });

  test('of a machine that was suspended is corrected by the next answer', () => {
    const { time, storeMs, answer } = start();
    answer(storeMs, 0);
    // The monotonic clock stood still; the wall clock was put right.
    const nowMs = storeMs + HOUR_SECONDS * 1_000;
    expect(time.offsetMs(nowMs)).toBeGreaterThan(0);
    answer(nowMs, 5);
    expect(time.offsetMs(nowMs)).toBe(0);
  });

  test('is not lost by an answer without a date', () => {
    const { time, storeMs, answer } = start();
    answer(storeMs, 0);
    time.observe(undefined, 0, 1);
    expect(time.offsetMs(storeMs - 5_000)).toBe(-5_000);
  });
});
