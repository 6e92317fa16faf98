import { randomUUID } from 'node:crypto';
import { startEngine } from '../../src/store/engine/engine.ts';
import { type Answer, createLabs, inParallel, type Labs } from './load.ts';
import { createPool, type Pool } from './pool.ts';
import { type RawRun, runRawEngine } from './raw-engine.ts';
import { type Replica, startReplica, untilBeaten, untilQuiet } from './replica.ts';

/** Leases that each replica gives out before the clock starts, and replays it answers: code and connections get warm. */
export const WARM_UP_LEASES = 64;
const WARM_UP_REPLAYS_PER_LEASE = 6;
const WARM_UP_CONCURRENCY = 16;
/** The broker's store client has no more calls under way than this, and neither has the bare one. */
const STORE_CONCURRENCY = 64;

/** Every loop runs once at the start and not again; nothing is turned away or put off for being too much. */
const ENVIRONMENT = {
  RATE_LIMIT_RPS: '1000000',
  RATE_LIMIT_BURST: '1000000',
  SANDBOX_API_LIMIT: '1000000',
  SANDBOX_CSP_DELETE_LIMIT: '1000000',
  SYNC_INTERVAL_SEC: '604800',
  CLEANUP_INTERVAL_SEC: '604800',
  AUTO_EXPIRY_INTERVAL_SEC: '604800',
};

export interface Stage {
  replicas: readonly Replica[];
  pool: Pool;
  labs: Labs;
  /** The replica that serves the caller of this number. */
  urlFor(caller: number): string;
}

/** A pool on an in-memory engine of its own, for as long as `work` takes. */
export async function withPool<T>(
  { size, leased }: { size: number; leased?: number },
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  const engine = await startEngine({ file: undefined });
  try {
    const pool = await createPool(engine.endpoint, size, leased);
    try {
      return await work(pool);
    } finally {
      pool.close();
    }
  } finally {
    await engine.stop();
  }
}

/** Fresh replicas on the pool, at rest, for as long as `work` takes. */
export async function withReplicas<T>(
  pool: Pool,
  count: number,
  work: (stage: Stage) => Promise<T>,
  environment: Record<string, string> = {},
): Promise<T> {
  const labs = createLabs();
  const starting = Array.from({ length: count }, () =>
    startReplica({
      ...ENVIRONMENT,
      SANDBOX_DB_URL: pool.endpoint,
      DDB_TABLE_NAME: pool.table,
      SIMULATED_POOL_SIZE: String(pool.size),
      ...environment,
    }),
  );
  try {
    const replicas = await Promise.all(starting);
    await untilQuiet(replicas);
    const urlFor = (caller: number) => replicas[caller % count]?.url ?? '';
    return await work({ replicas, pool, labs, urlFor });
  } finally {
    await labs.close();
    await Promise.all(starting.map(async (replica) => (await replica).stop()));
  }
}

/**
 * Waits until the replicas know each other, takes `WARM_UP_LEASES` sandboxes per replica out of the pool, asks for them
 * again some times, and waits for the moment at which the replicas have nothing of their own to do for some seconds.
 */
export async function warmUp({ replicas, labs, urlFor }: Stage): Promise<Answer[]> {
  if (replicas.length > 1) await untilBeaten(replicas, 2);
  const run = randomUUID();
  const holders = Array.from({ length: replicas.length * WARM_UP_LEASES }, (_, index) => `${run}-${index}`);
  const ask = () =>
    inParallel(holders, WARM_UP_CONCURRENCY * replicas.length, (holder, index) =>
      labs.allocate(urlFor(index), holder),
    );
  const leases = await ask();
  for (let replay = 0; replay < WARM_UP_REPLAYS_PER_LEASE; replay++) await ask();
  if (leases.some(({ status }) => status !== 201)) throw new Error('the warm-up did not get its leases');
  await untilBeaten(replicas, 1);
  return leases;
}

/** The ids of the sandboxes in some answers. */
export const sandboxIds = (answers: readonly Answer[]): string[] =>
  answers.flatMap(({ sandboxId }) => sandboxId ?? []);

/** So many grants by bare clients, in as many processes as there would be replicas, on a table of the same layout. */
export async function measureRaw(
  endpoint: string,
  { processes, transactions, concurrency }: { processes: number; transactions: number; concurrency: number },
): Promise<RawRun> {
  const warmUp = WARM_UP_LEASES * (1 + WARM_UP_REPLAYS_PER_LEASE);
  const pool = await createPool(endpoint, transactions + processes * warmUp);
  try {
    return await runRawEngine({
      endpoint,
      table: pool.table,
      sandboxes: pool.free(),
      processes,
      warmUp,
      concurrency: Math.min(STORE_CONCURRENCY, Math.ceil(concurrency / processes)),
    });
  } finally {
    pool.close();
  }
}
