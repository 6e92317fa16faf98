import {
  CLOUD_LATENCY,
  type DynamoProxy,
  startDynamoProxy,
  type Troubles,
} from '../../support/dynamo-proxy.ts';
import { measureRound, toMeasurement } from '../measurement.ts';
import { type Stage, sandboxIds, WARM_UP_LEASES, warmUp, withPool, withReplicas } from '../stage.ts';
import { all, countDoubled, everyHolder, fromEverywhere, oneAfterTheOther } from '../storms.ts';
import type { LatencyResults } from './report.ts';

/** How the store is while it is called. */
interface Weather {
  name: string;
  troubles: Troubles;
}

const WELL: Weather = { name: 'all well', troubles: {} };
/** Half of them were carried out. */
const LOST: Weather = { name: '10 % lost', troubles: { lostAnswers: 0.05, lostCalls: 0.05 } };
const LATE: Weather = { name: '10 % answered 2 s late', troubles: { lateAnswers: 0.1, lateMs: 2_000 } };

interface Sizes {
  /** Of the storm; as many sandboxes are free then. */
  callers: number;
  keys: number;
  /** Of the caller who comes one at a time. */
  calls: number;
  weathers: readonly (readonly [replicas: number, weathers: readonly Weather[]])[];
}

const FULL: Sizes = {
  callers: 1_000,
  keys: 250,
  calls: 100,
  weathers: [
    [1, [WELL, LOST, LATE]],
    [4, [WELL, LOST]],
  ],
};
const QUICK: Sizes = { callers: 300, keys: 75, calls: 30, weathers: [[1, [WELL, LOST]]] };

/**
 * Everybody at once, one key from everywhere and one after the other, on a store that is as far away as DynamoDB: when it is well,
 * and when a part of its answers does not come. `quick`: less of everything.
 */
export async function measureLatency({ quick }: { quick: boolean }): Promise<LatencyResults> {
  const sizes = quick ? QUICK : FULL;
  const results: LatencyResults = { takenAt: new Date().toISOString(), loads: [], doubled: 0, split: 0 };
  for (const [replicas, weathers] of sizes.weathers) {
    for (const weather of weathers) {
      const { loads, doubled, split } = await inWeather(replicas, weather, sizes);
      results.loads.push(...loads);
      results.doubled += doubled;
      results.split += split;
    }
  }
  return results;
}

/** On fresh replicas, first what comes beside a storm; it leaves as many sandboxes as the storm has callers. */
async function inWeather(
  replicas: number,
  { name, troubles }: Weather,
  { callers, keys, calls }: Sizes,
): Promise<Pick<LatencyResults, 'loads' | 'doubled' | 'split'>> {
  const isAlone = replicas === 1;
  const before = isAlone ? calls : keys;
  const size = replicas * WARM_UP_LEASES + before + callers;
  return await withPool({ size }, (pool) =>
    behindProxy(pool.endpoint, (proxy) => {
      const work = async (stage: Stage) => {
        await warmUp(stage);
        proxy.setTroubles(troubles);
        const first = await measureRound(stage.replicas, () =>
          (isAlone ? oneAfterTheOther : fromEverywhere)(stage, everyHolder(before)),
        );
        const storm = await measureRound(stage.replicas, () => all(stage, everyHolder(callers)));
        proxy.setTroubles({});
        const where = `${replicas} replica${isAlone ? '' : 's'}, ${name}`;
        const what = isAlone ? 'one at a time' : `one key × ${replicas} at once, ${keys} keys`;
        return {
          loads: [
            toMeasurement(`${what}, ${where}`, replicas, [first]),
            toMeasurement(`storm: ${callers} callers, ${callers} free, ${where}`, replicas, [storm]),
          ],
          split: isAlone ? 0 : new Set(sandboxIds(first.answers)).size - keys,
          doubled: countDoubled(isAlone ? [...first.answers, ...storm.answers] : storm.answers),
        };
      };
      return withReplicas(pool, replicas, work, { SANDBOX_DB_URL: signedIn(proxy.endpoint) });
    }),
  );
}

/** What nobody signs in to is taken for an engine on this machine, which is given more time. */
const signedIn = (endpoint: string): string => endpoint.replace('://', '://local:local@');

async function behindProxy<T>(endpoint: string, work: (proxy: DynamoProxy) => Promise<T>): Promise<T> {
  const proxy = await startDynamoProxy(endpoint);
  proxy.setLatency(CLOUD_LATENCY);
  try {
    return await work(proxy);
  } finally {
    await proxy.close();
  }
}
