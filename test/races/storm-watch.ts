import { setTimeout as delay } from 'node:timers/promises';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import type { StoreClient } from '../../src/store/dynamo/client.ts';
import { createSandboxReads } from '../../src/store/sandboxes/reads.ts';
import type { Observation } from '../support/history/history.ts';

const LOOK_EVERY_MS = 150;

/** Looks at every record all the time, past the faulty network: who sees a generation knows what has happened by then. */
export function startWatch(client: StoreClient, buckets: number, now: () => number) {
  const reads = createSandboxReads(client, buckets, (sortKey, error) => {
    throw new Error(`unreadable record ${String(sortKey)}`, { cause: error });
  });
  const observations: Observation[] = [];
  let records: Sandbox[] = [];
  let running = true;
  const look = async () => {
    const startMs = now();
    const pages = await Promise.all(
      Array.from({ length: buckets }, (_, bucket) => reads.all({ bucket }, AbortSignal.timeout(5_000))),
    );
    const endMs = now();
    records = pages.flatMap(({ sandboxes }) => sandboxes);
    for (const { id, generation } of records) {
      observations.push({ sandboxId: id, generation, startMs, endMs });
    }
  };
  const watching = (async () => {
    while (running) {
      // The engine may just be dead.
      await look().catch(() => undefined);
      await delay(LOOK_EVERY_MS);
    }
  })();
  return {
    observations,
    records: () => records,
    async stop() {
      running = false;
      await watching;
    },
  };
}
