import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { DEVELOPMENT_TOKENS } from '../../../src/config/variables.ts';
import type { Labs } from '../load.ts';
import { type Replica, type Snapshot, untilBeaten } from '../replica.ts';
import { withPool, withReplicas } from '../stage.ts';
import { percentile } from '../statistics.ts';
import { TOKEN } from './csp-process.ts';
import { startFarCsp } from './far-csp.ts';
import type { Latencies, ScalePoint, ScaleResults, SyncCost } from './report.ts';

const FULL = [1_000, 20_000, 200_000];
const QUICK = [1_000, 5_000];
/** Unchanged syncs per pool. */
const SYNCS = 3;
const QUIET_MS = 8_000;
/** Between two calls of the one who allocates, and of the one who asks whether the broker lives. */
const PACE_MS = 20;
const NAMED_CALLS = 40;
const MIB = 2 ** 20;

/** What syncs of ever larger pools take, and what others feel of them. `quick`: small pools. */
export async function measureScale({ quick }: { quick: boolean }): Promise<ScaleResults> {
  const points: ScalePoint[] = [];
  for (const size of quick ? QUICK : FULL) points.push(await point(size));
  return { takenAt: new Date().toISOString(), points };
}

/** One replica on an empty table, and a CSP that lists `size` sandboxes by and by. */
async function point(size: number): Promise<ScalePoint> {
  const csp = await startFarCsp();
  try {
    const environment = { PROVIDER: 'csp', CSP_BASE_URL: csp.baseUrl, CSP_API_TOKEN: TOKEN };
    return await withPool({ size: 0 }, (pool) =>
      withReplicas(
        pool,
        1,
        async ({ replicas: [replica], labs }) => {
          if (!replica) throw new RangeError('no replica');
          await csp.add(size);
          const first = await during(replica, () => sync(replica));
          await untilBeaten([replica], 1);
          const idleMiB = (await replica.snapshot()).residentBytes / MIB;
          const named = await byName(replica);
          const quiet = await feltWhile(replica, labs, () => delay(QUIET_MS));
          const unchanged: SyncCost[] = [];
          const beside: Felt[] = [];
          for (let round = 0; round < SYNCS; round++) {
            const felt = await feltWhile(replica, labs, async () => {
              unchanged.push(await during(replica, () => sync(replica)));
            });
            beside.push(felt);
            await delay(1_000);
          }
          return {
            size,
            idleMiB,
            first,
            unchanged: worstOf(unchanged),
            quiet: latenciesOf([quiet]),
            beside: latenciesOf(beside),
            ...named,
          };
        },
        environment,
      ),
    );
  } finally {
    csp.stop();
  }
}

async function sync({ url }: Replica): Promise<number> {
  const startedMs = performance.now();
  const { statusCode, body } = await request(`${url}/v1/admin/sync`, {
    method: 'POST',
    headers: { authorization: `Bearer ${DEVELOPMENT_TOKENS.admin}` },
    headersTimeout: 600_000,
    bodyTimeout: 600_000,
  });
  const answer = await body.text();
  if (statusCode !== 200) throw new Error(`a sync was answered with ${statusCode}: ${answer}`);
  return (performance.now() - startedMs) / 1000;
}

/** What a run that takes so many seconds took of the replica. */
async function during(replica: Replica, run: () => Promise<number>): Promise<SyncCost> {
  const before = await replica.snapshot();
  // From here on the kernel remembers the largest.
  await writeFile(`/proc/${replica.pid}/clear_refs`, '5');
  const seconds = await run();
  const peakMiB = await peakOf(replica);
  const after = await replica.snapshot();
  return {
    seconds,
    peakMiB,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    storeCalls: callsBetween(before, after),
  };
}

async function peakOf({ pid }: Replica): Promise<number> {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

/** The slowest, with the largest peak of all of them. */
function worstOf(syncs: readonly SyncCost[]): SyncCost {
  const [slowest] = syncs.toSorted((one, other) => other.seconds - one.seconds);
  if (!slowest) throw new RangeError('no sync');
  return { ...slowest, peakMiB: Math.max(...syncs.map(({ peakMiB }) => peakMiB)) };
}

/** Calls for a name that a sandbox has, and for one that none has. */
async function byName({ url }: Replica): Promise<Pick<ScalePoint, 'byNameP50Ms' | 'refusedP50Ms'>> {
  const timeOf = async (prefix: string, expected: number) => {
    const startedMs = performance.now();
    const { statusCode, body } = await request(`${url}/v1/allocate`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${DEVELOPMENT_TOKENS.track}`,
        'x-track-id': `scale-${holders++}`,
        'x-sandbox-name-prefix': prefix,
      },
    });
    await body.dump();
    if (statusCode !== expected) throw new Error(`a call for ${prefix} was answered with ${statusCode}`);
    return performance.now() - startedMs;
  };
  const named: number[] = [];
  const refused: number[] = [];
  for (let call = 0; call < NAMED_CALLS; call++) {
    // The CSP counts from 1 on.
    named.push(await timeOf(`Sandbox ${100 + call}`, 201));
    refused.push(await timeOf(`none-${call}-`, 409));
  }
  return { byNameP50Ms: percentile(named, 0.5), refusedP50Ms: percentile(refused, 0.5) };
}

function callsBetween(before: Snapshot, after: Snapshot): Record<string, number> {
  const entries = Object.entries(after.storeCalls).map(
    ([operation, calls]) => [operation, calls - (before.storeCalls[operation] ?? 0)] as const,
  );
  return Object.fromEntries(entries.filter(([, calls]) => calls > 0));
}

interface Felt {
  allocations: number[];
  health: number[];
}

let holders = 0;

/** How long calls take while `work` goes on, milliseconds: one allocation after the other, and as many looks at its health. */
async function feltWhile(replica: Replica, labs: Labs, work: () => Promise<unknown>): Promise<Felt> {
  const felt: Felt = { allocations: [], health: [] };
  let isOver = false;
  const again = async (call: () => Promise<void>) => {
    while (!isOver) {
      await call();
      await delay(PACE_MS);
    }
  };
  const callers = [
    again(async () => {
      const { status, latencyMs } = await labs.allocate(replica.url, `scale-${holders++}`);
      if (status !== 201) throw new Error(`an allocation was answered with ${status}`);
      felt.allocations.push(latencyMs);
    }),
    again(async () => {
      const startedMs = performance.now();
      const { body } = await request(`${replica.url}/healthz`);
      await body.dump();
      felt.health.push(performance.now() - startedMs);
    }),
  ];
  try {
    await work();
  } finally {
    isOver = true;
    await Promise.all(callers);
  }
  return felt;
}

function latenciesOf(felt: readonly Felt[]): Latencies {
  const allocations = felt.flatMap((each) => each.allocations);
  const health = felt.flatMap((each) => each.health);
  return {
    allocations: allocations.length,
    p50Ms: percentile(allocations, 0.5),
    p99Ms: percentile(allocations, 0.99),
    healthP99Ms: percentile(health, 0.99),
    healthMaxMs: Math.max(...health),
  };
}
