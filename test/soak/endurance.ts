import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { request } from 'undici';
import { createLabs, type Labs } from '../bench/load.ts';
import { startReplica } from '../bench/replica.ts';
import { until } from '../support/until.ts';
import { type EnduranceSample, judgeEndurance } from './endurance-judges.ts';
import { takeSample } from './endurance-samples.ts';

/*
 * npm run endurance -- [--minutes 15] [--labs 32]
 * One broker as a newcomer starts it, with its own engine and a file, under the most that so many labs at once can ask
 * for, with every loop at one second: a lease, its mark, the sandbox back in the pool. Exits with 1 when a rule is broken.
 * It wants a machine to itself, and some minutes: before that, a process that gets warm looks like one that grows.
 */

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '15' }, labs: { type: 'string', default: '32' } },
});
const minutes = Number(values.minutes);
const labCount = Number(values.labs);
if (!(minutes > 0 && minutes <= 24 * 60))
  throw new RangeError(`--minutes must be above 0: ${values.minutes}`);
if (!(Number.isInteger(labCount) && labCount > 0))
  throw new RangeError(`--labs must be above 0: ${values.labs}`);

const RUN_MS = minutes * 60_000;
/** Some 180 samples in a full run, and enough in a short one. */
const SAMPLE_MS = Math.max(1_000, RUN_MS / 180);
const ROWS = 15;
/** A lab that finds the pool empty asks again after so long. */
const COME_AGAIN_MS = 50;

const ENVIRONMENT = {
  SIMULATED_POOL_SIZE: '2000',
  RATE_LIMIT_RPS: '1000000',
  RATE_LIMIT_BURST: '1000000',
  SANDBOX_CSP_DELETE_LIMIT: '1000000',
  SYNC_INTERVAL_SEC: '1',
  CLEANUP_INTERVAL_SEC: '1',
  AUTO_EXPIRY_INTERVAL_SEC: '1',
  CLEANUP_CONCURRENCY: '20',
};

/** What the labs have seen. */
interface Tally {
  cycles: number;
  /** 409: everything is leased or being cleaned up. */
  poolEmpty: number;
  /** Everything else that is no lease, no answer included. */
  errors: number;
}

/** One lab after the other takes a sandbox and gives it back, until the time is up. */
async function visitUntil(endMs: number, url: string, labs: Labs, tally: Tally): Promise<void> {
  while (performance.now() < endMs) {
    const holder = randomUUID();
    const { status, sandboxId } = await labs.allocate(url, holder);
    if (sandboxId === undefined) {
      if (status === 409) tally.poolEmpty++;
      else tally.errors++;
      await delay(COME_AGAIN_MS);
      continue;
    }
    const marked = await labs.mark(url, sandboxId, holder);
    if (marked.status === 200) tally.cycles++;
    else tally.errors++;
  }
}

async function run(folder: string): Promise<{ samples: EnduranceSample[]; tally: Tally }> {
  const broker = await startReplica({
    ...ENVIRONMENT,
    SANDBOX_DB_URL: `embedded:${join(folder, 'pool.db')}`,
  });
  const labs = createLabs();
  try {
    await until(
      async () => {
        const { body } = await request(`${broker.url}/metrics`);
        return /^broker_sync_total\{outcome="success"\} [1-9]/m.test(await body.text());
      },
      { timeoutMs: 60_000, what: 'the pool is listed' },
    );
    // What came before the load is not judged, and the stall is that since the sample before.
    await takeSample(broker);
    const tally: Tally = { cycles: 0, poolEmpty: 0, errors: 0 };
    const samples: EnduranceSample[] = [];
    const startedMs = performance.now();
    const endMs = startedMs + RUN_MS;
    const load = Promise.all(
      Array.from({ length: labCount }, () => visitUntil(endMs, broker.url, labs, tally)),
    );
    for (let atMs = SAMPLE_MS; atMs <= RUN_MS; atMs += SAMPLE_MS) {
      await delay(Math.max(0, startedMs + atMs - performance.now()));
      const sample = await takeSample(broker);
      samples.push({
        ...sample,
        atMs: performance.now() - startedMs,
        cycles: tally.cycles,
        errors: sample.errors + tally.errors,
      });
    }
    await load;
    return { samples, tally };
  } finally {
    await labs.close();
    await broker.stop();
  }
}

const COLUMNS = ['min', 'leases/s', 'RSS MiB', 'heap MiB', 'stall ms', 'handles', 'sockets', 'errors'];

function toRow(sample: EnduranceSample, before: EnduranceSample | undefined, stallMs: number): string[] {
  const seconds = (sample.atMs - (before?.atMs ?? 0)) / 1_000;
  return [
    (sample.atMs / 60_000).toFixed(1),
    ((sample.cycles - (before?.cycles ?? 0)) / seconds).toFixed(0),
    sample.residentMiB.toFixed(0),
    sample.heapUsedMiB.toFixed(0),
    stallMs.toFixed(0),
    String(sample.handles),
    String(sample.sockets),
    String(sample.errors),
  ];
}

/** One row for so many samples; its stall is the longest of theirs. */
function printTable(samples: readonly EnduranceSample[]): void {
  const step = Math.max(1, Math.ceil(samples.length / ROWS));
  const rows: string[][] = [];
  for (let from = 0; from < samples.length; from += step) {
    const part = samples.slice(from, from + step);
    const last = part.at(-1);
    if (last) rows.push(toRow(last, samples[from - 1], Math.max(...part.map(({ stallMs }) => stallMs))));
  }
  for (const row of [COLUMNS, ...rows]) console.log(row.map((cell) => cell.padStart(9)).join(' '));
}

const folder = await mkdtemp(join(tmpdir(), 'broker-endurance-'));
try {
  const { samples, tally } = await run(folder);
  printTable(samples);
  console.log(`\n${tally.cycles} leases given and marked, ${tally.poolEmpty} times the pool was empty\n`);
  for (const { rule, holds, figure } of judgeEndurance(samples)) {
    console.log(`${holds ? 'holds ' : 'BROKEN'}  ${rule}: ${figure}`);
    if (!holds) process.exitCode = 1;
  }
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
