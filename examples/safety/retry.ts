import assert from 'node:assert/strict';
import { createRetry, createRetryStatistics } from 'sandbox-broker/safety';

// Counts the attempts, and says when a task, the rate of retries, or a spike of them becomes strange.
const statistics = createRetryStatistics();
const retry = createRetry({
  // The waits are min(baseMs · multiplier^n, maxMs), each times a jitter from 0.5 to 1.5.
  policy: { retries: 3, baseMs: 10, multiplier: 2, maxMs: 100 },
  onAttempt: statistics.onAttempt,
  onEnd: statistics.onEnd,
});

const answer = await retry.run('fetch_rates', async (attempt, signal) => {
  signal.throwIfAborted();
  if (attempt < 3) throw Object.assign(new Error('unavailable'), { status: 503 });
  return 'rates';
});
assert.equal(answer, 'rates');
assert.equal((await statistics.report()).attempts['3'], 1);

// What cannot become true by trying again is not tried again.
let calls = 0;
const refused = retry.run('fetch_rates', async () => {
  calls++;
  throw Object.assign(new Error('no such thing'), { status: 404 });
});
await assert.rejects(refused, /no such thing/);
assert.equal(calls, 1);
