import { randomUUID } from 'node:crypto';
import { CLOUD_LATENCY, startDynamoProxy, type Throughput } from '../support/dynamo-proxy.ts';
import { type Measurement, measureRound, toMeasurement } from './measurement.ts';
import { WARM_UP_LEASES, warmUp, withPool, withReplicas } from './stage.ts';

const STORES: { store: string; throughput: Throughput }[] = [
  { store: 'a store with all the room there is', throughput: {} },
  { store: 'a table of 4,000 write units/s', throughput: { table: 4_000 } },
  { store: 'a table of 1,000 write units/s', throughput: { table: 1_000 } },
  {
    store: '16 buckets of 250 write units/s',
    throughput: { partition: (pk) => (pk.startsWith('B#') ? 250 : undefined) },
  },
];

/** Everybody at once on stores that are as far away as DynamoDB, with all the room there is and with less; the first is that. */
export async function shortOfRoom(callers: number): Promise<Measurement[]> {
  return await withPool({ size: STORES.length * (2 * callers + WARM_UP_LEASES) }, async (pool) => {
    const proxy = await startDynamoProxy(pool.endpoint);
    try {
      const measured: Measurement[] = [];
      for (const { store, throughput } of STORES) {
        proxy.limitThroughput({});
        proxy.setLatency(CLOUD_LATENCY);
        const round = await withReplicas(
          pool,
          1,
          async (stage) => {
            await warmUp(stage);
            proxy.limitThroughput(throughput);
            const run = randomUUID();
            return await measureRound(stage.replicas, () =>
              Promise.all(
                Array.from({ length: callers }, (_, index) =>
                  stage.labs.allocate(stage.urlFor(index), `${run}-${index}`),
                ),
              ),
            );
          },
          { SANDBOX_DB_URL: proxy.endpoint },
        );
        measured.push(toMeasurement(`${callers} callers, ${store}`, 1, [round]));
      }
      return measured;
    } finally {
      await proxy.close();
    }
  });
}
