import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createStoreClient } from '../../../src/store/dynamo/client.ts';
import { createCongestionLimit } from '../../../src/store/dynamo/congestion.ts';
import { LOCAL_CREDENTIALS } from '../../support/broker/core.ts';
import { listenForTest } from '../../support/listen.ts';
import { settled } from './far-side.ts';

const SLOW_MS = 40;

/** From here on time passes only when it is told to. */
function standStill(): void {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** Calls that last until they are let go, all at once. */
function holdCalls() {
  let letGo = Promise.withResolvers<void>();
  return {
    call: () => letGo.promise,
    release() {
      letGo.resolve();
      letGo = Promise.withResolvers();
    },
  };
}

test('widens with every quick answer that others wait for, up to the most it may', async () => {
  const limit = createCongestionLimit({ max: 40, slowMs: 60_000 });
  expect(limit.width).toBe(16);
  await Promise.all(Array.from({ length: 20 }, () => limit.run('any', async () => 'quick')));
  expect(limit.width).toBeGreaterThan(16);
  await Promise.all(Array.from({ length: 200 }, () => limit.run('any', async () => 'quick')));
  expect(limit.width).toBe(40);
});

test('halves for all slow calls that were under way together, again for the next ones, and keeps a few', async () => {
  standStill();
  const limit = createCongestionLimit({ max: 64, slowMs: SLOW_MS });
  for (const width of [8, 4, 4]) {
    const held = holdCalls();
    const calls = Array.from({ length: limit.width }, () => limit.run('any', held.call));
    await settled();
    vi.advanceTimersByTime(SLOW_MS);
    held.release();
    await Promise.all(calls);
    expect(limit.width).toBe(width);
  }
  await Promise.all(Array.from({ length: 50 }, () => limit.run('any', async () => 'quick')));
  expect(limit.width).toBeGreaterThan(16);
});

test('learns nothing from a slow call that was overtaken by a later one of its kind', async () => {
  standStill();
  const limit = createCongestionLimit({ max: 64, slowMs: SLOW_MS });
  for (const [kind, width] of [
    ['write', 16],
    ['read', 8],
  ] as const) {
    const held = holdCalls();
    const slow = limit.run('write', held.call);
    await settled();
    vi.advanceTimersByTime(SLOW_MS / 2);
    await limit.run(kind, async () => 'quick');
    vi.advanceTimersByTime(SLOW_MS);
    held.release();
    await slow;
    expect(limit.width).toBe(width);
  }
});

test('does not widen for calls that fail at once', async () => {
  const limit = createCongestionLimit({ max: 64, slowMs: 60_000 });
  const failing = Array.from({ length: 50 }, () =>
    limit.run('any', () => Promise.reject(new Error('refused'))),
  );
  expect((await Promise.allSettled(failing)).every(({ status }) => status === 'rejected')).toBe(true);
  expect(limit.width).toBe(16);
});

test('refuses options that cannot work', () => {
  expect(() => createCongestionLimit({ max: 0, slowMs: 1 })).toThrow(RangeError);
  expect(() => createCongestionLimit({ max: 1, slowMs: 0 })).toThrow(RangeError);
  expect(createCongestionLimit({ max: 2, slowMs: 1 }).width).toBe(2);
});

test('every call to a store that is slower than its callers are many is answered in the end', async () => {
  const MS_PER_CALL = 20;
  const CALLERS = 160;
  let carriedOut = 0;
  let last: Promise<unknown> = Promise.resolve();
  // One at a time, also what nobody waits for any more: like an engine with a single writer.
  const server = createServer((request, response) => {
    request.resume();
    last = last.then(async () => {
      await delay(MS_PER_CALL);
      carriedOut += 1;
      response.setHeader('content-type', 'application/x-amz-json-1.0').end('{}');
    });
  });
  const client = createStoreClient({
    endpoint: await listenForTest(server),
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
    table: 'slow',
    // With all 64 sockets in use a call would take 1,280 ms.
    callTimeoutMs: 1_000,
    // Less than the last one waits for its turn.
    totalTimeoutMs: 2_500,
  });
  onTestFinished(() => client.close());

  const calls = Array.from({ length: CALLERS }, () => client.get({ pk: 'any', sk: 'any' }));
  const answered = (await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length;
  expect(answered).toBe(CALLERS);
  // Hardly anything was done for nobody.
  expect(carriedOut).toBeLessThan(1.5 * CALLERS);
});
