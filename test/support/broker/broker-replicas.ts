import { onTestFinished } from 'vitest';
import { until } from '../until.ts';
import { launchBrokerInside } from './broker-inside.ts';
import { type BrokerProcess, launchBroker } from './broker-process.ts';
import { uniqueTable } from './core.ts';

export interface ReplicasOptions {
  /** The engine they share. */
  endpoint: string;
  count: number;
  /** Sandboxes of the simulated provider. */
  poolSize: number;
  env?: Record<string, string>;
  /** Whether they live in the tests' own process, where nothing is about processes. */
  inside?: boolean;
}

const SYNCED_WITHIN_MS = 60_000;

/** {@link launchReplicas} for one test: they are killed when it is over. */
export async function startReplicas(options: ReplicasOptions): Promise<BrokerProcess[]> {
  const replicas = await launchReplicas(options);
  onTestFinished(() => killAll(replicas));
  return replicas;
}

/**
 * Processes that share one fresh table, whose pool is complete, after the first runs of their loops. Whoever launches
 * them ends them, with {@link killAll} at the latest.
 */
export async function launchReplicas({
  endpoint,
  count,
  poolSize,
  env = {},
  inside = false,
}: ReplicasOptions): Promise<BrokerProcess[]> {
  const shared = {
    DDB_ENDPOINT_URL: endpoint,
    DDB_TABLE_NAME: uniqueTable(),
    SIMULATED_POOL_SIZE: String(poolSize),
    ...env,
  };
  const replicas: BrokerProcess[] = [];
  const launch = async () => {
    const replica = inside ? await launchBrokerInside(shared) : await launchBroker({ env: shared });
    replicas.push(replica);
    return replica;
  };
  try {
    const first = await launch();
    await first.logged('the first sync', ({ created }) => created === poolSize, SYNCED_WITHIN_MS);
    await Promise.all(Array.from({ length: count - 1 }, launch));
    await Promise.all(replicas.map(firstRunsAreOver));
  } catch (error) {
    await killAll(replicas);
    throw error;
  }
  return replicas;
}

/** Ends all of them, at once. */
export async function killAll(replicas: readonly BrokerProcess[]): Promise<void> {
  await Promise.all(replicas.map((each) => each.kill9()));
}

/** The replica that serves the caller with this number: callers take turns. */
export function replicaFor(replicas: readonly BrokerProcess[], caller: number): BrokerProcess {
  const replica = replicas[caller % replicas.length];
  if (replica === undefined) throw new RangeError('no replicas');
  return replica;
}

/** What a loop does at its start must not be mistaken for, or stand in the way of, what a test asks for. */
async function firstRunsAreOver(replica: BrokerProcess): Promise<void> {
  const ended = async () => {
    const samples = await replica.metrics();
    const runsOf = (loop: string) =>
      ['success', 'skipped'].reduce(
        (sum, outcome) => sum + (samples[`broker_${loop}_total{outcome="${outcome}"}`] ?? 0),
        0,
      );
    return ['sync', 'cleanup', 'expiry'].every((loop) => runsOf(loop) > 0);
  };
  await until(ended, { timeoutMs: SYNCED_WITHIN_MS, what: 'the first runs of the loops are over' });
}
