import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { listAll, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { replicaFor, startReplicas } from '../support/broker/broker-replicas.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

vi.setConfig(PROCESS_TIMES);

const REPLICAS = 4;
const POOL = 6;
const WORKERS = 9;
/** Each sandbox changes hands many times. */
const LEASES = 40;
/** What a caller that was refused does before it asks again. */
const REFUSED_PAUSE_MS = 100;

describeOnFastEngine(
  'a small pool that four processes lease, take back and clean all the time',
  ({ endpoint }) => {
    test('never has two holders for one sandbox', async () => {
      const replicas = await startReplicas({
        endpoint,
        count: REPLICAS,
        poolSize: POOL,
        env: { CLEANUP_INTERVAL_SEC: '0.2', CLEANUP_CONCURRENCY: '10' },
      });
      /** Who holds what, as the holders know it: from the answer to the lease until the return is sent. */
      const holders = new Map<string, string>();
      const doubles: string[] = [];
      const unexpected: string[] = [];
      let leases = 0;

      const work = async (worker: number) => {
        for (let call = 0; leases < LEASES; call++) {
          const holder = `worker-${worker}-${call}`;
          const { status, json, text } = await replicaFor(replicas, worker + call).allocate(holder);
          if (status === 409) {
            await delay(REFUSED_PAUSE_MS);
            continue;
          }
          if (status !== 201) return void unexpected.push(`${status} ${text}`);
          leases += 1;
          const id = String(json.sandbox_id);
          const other = holders.get(id);
          if (other !== undefined) doubles.push(`${id}: ${other} and ${holder}`);
          holders.set(id, holder);
          // Another replica must see the lease, too.
          const replay = await replicaFor(replicas, worker + call + 1).allocate(holder);
          if (replay.status !== 200 || replay.json.sandbox_id !== id)
            unexpected.push(`replay: ${replay.text}`);
          if (holders.get(id) === holder) holders.delete(id);
          const mark = await replicaFor(replicas, worker + call + 2).mark(id, holder);
          if (mark.status !== 200) unexpected.push(`mark: ${mark.text}`);
        }
      };
      await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));

      expect({ doubles, unexpected }).toEqual({ doubles: [], unexpected: [] });
      // The history agrees: one lease after the other, each ended before the next began.
      for (const { sandbox_id } of await listAll(replicas[0]!)) {
        const { json } = await replicas[0]!.admin('GET', `/v1/admin/sandboxes/${sandbox_id}`);
        const history = json['history'] as { from?: string; to: string }[];
        for (const [index, event] of history.entries()) {
          if (index > 0) expect(event.from).toBe(history[index - 1]?.to);
        }
      }
    });
  },
);
