import { expect, it } from 'vitest';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const BEATS = 20;
const BEAT_MS = 60;
/** As long as the loops come by only at the start. */
const RARE = '604800';

/** The store calls of a replica so far, by operation. */
async function callsOf({ url }: BrokerHere): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const calls: Record<string, number> = {};
  for (const [, operation = '', value] of text.matchAll(
    /^broker_store_calls_total\{operation="(\w+)".*\} (\S+)$/gm,
  ))
    calls[operation] = (calls[operation] ?? 0) + Number(value);
  return calls;
}

/** The calls of so many beats of a replica to which nothing else happens. */
async function callsOfBeats(broker: BrokerHere): Promise<Record<string, number>> {
  const before = await callsOf(broker);
  const after = await until(
    async () => {
      const now = await callsOf(broker);
      return (now['PutItem'] ?? 0) >= (before['PutItem'] ?? 0) + BEATS && now;
    },
    { what: 'the beats' },
  );
  return Object.fromEntries(
    Object.entries(after)
      .map(([operation, calls]) => [operation, calls - (before[operation] ?? 0)] as const)
      .filter(([, calls]) => calls > 0),
  );
}

describeOnFastEngine('a replica that nobody calls', ({ endpoint }) => {
  it('makes three calls to the store with a beat, alone and among others', async () => {
    const env = {
      SYNC_INTERVAL_SEC: RARE,
      CLEANUP_INTERVAL_SEC: RARE,
      AUTO_EXPIRY_INTERVAL_SEC: RARE,
      COUNT_INTERVAL_SEC: RARE,
      SANDBOX_WORKER_INTERVAL: '3600',
    };
    const overrides = { beatIntervalMs: BEAT_MS };
    const one = await startBrokerHere(endpoint, env, undefined, overrides);
    const two = await startBrokerHere(endpoint, { ...env, DDB_TABLE_NAME: one.table }, undefined, overrides);
    for (const broker of [one, two]) {
      const { PutItem = 0, Query = 0, BatchGetItem = 0, ...others } = await callsOfBeats(broker);
      expect(others).toEqual({});
      for (const calls of [PutItem, Query, BatchGetItem]) {
        // What a beat does at once may be counted one look later.
        expect(calls).toBeGreaterThanOrEqual(BEATS - 1);
        expect(calls).toBeLessThanOrEqual(BEATS + 3);
      }
    }
  });
});
