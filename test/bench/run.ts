import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { measureCosts } from './cost/measure.ts';
import { costTables } from './cost/report.ts';
import { durableSubmitTimes, jobStartTimes, safetyCosts } from './costs.ts';
import { cyclesTables, measureCycles } from './cycles.ts';
import { measureLatency } from './latency/measure.ts';
import { latencyTables } from './latency/report.ts';
import { measureLine } from './line/measure.ts';
import { lineTables } from './line/report.ts';
import { lookUps } from './look-ups.ts';
import { tablesToText, takenToMarkdown, toMarkdown, toText } from './report.ts';
import { type Results, targetsOf } from './results.ts';
import { measureScale } from './scale/measure.ts';
import { scaleTables } from './scale/report.ts';
import { shortOfRoom } from './short-of-room.ts';
import { startTimes } from './start.ts';
import { memory, sustained } from './steady.ts';
import { growth, oneByOne, sameKey, storm } from './storms.ts';

/*
 * npm run bench -- [--cost | --cycles | --line | --latency | --scale] [--quick] [--markdown] [--docs]
 * --cost      what it costs to run, in the units that DynamoDB charges, and nothing else
 * --cycles    leases that come and go, 10,000 a minute out of a pool of 3,000, and nothing else
 * --line      what waiting in line takes and costs, and nothing else
 * --latency   leases on a store as far away as DynamoDB, also when answers are lost, and nothing else
 * --scale     what syncs of up to 200,000 sandboxes take, and what others feel of them, and nothing else
 * --quick     a small run of less than a minute: does everything work, roughly as fast as ever?
 * --markdown  prints the tables as Markdown
 * --docs      puts them into docs/benchmarks.md
 */

interface Sizes {
  rounds: number;
  storms: { pool: 'roomy' | 'exact'; replicas: number }[];
  callers: number;
  keys: number;
  /** Of the caller who comes one at a time. */
  calls: number;
  concurrency: number;
  sustainedSeconds: number;
  cyclesSeconds: number;
  growthSizes: number[];
  lookUps: { sandboxes: number; times: number };
  starts: number;
  memory: { allocations: number; samples: number; large: number; restMs: number };
  safetyCalls: number;
  jobs: number;
}

const FULL: Sizes = {
  rounds: 3,
  storms: [
    { pool: 'roomy', replicas: 1 },
    { pool: 'roomy', replicas: 4 },
    { pool: 'exact', replicas: 1 },
    { pool: 'exact', replicas: 4 },
  ],
  callers: 1_000,
  keys: 250,
  calls: 500,
  concurrency: 32,
  sustainedSeconds: 10,
  cyclesSeconds: 60,
  growthSizes: [1_000, 10_000, 50_000],
  lookUps: { sandboxes: 50_000, times: 400 },
  starts: 5,
  memory: { allocations: 100_000, samples: 4, large: 10_000, restMs: 60_000 },
  safetyCalls: 20_000,
  jobs: 100,
};

const QUICK: Sizes = {
  rounds: 1,
  storms: [
    { pool: 'roomy', replicas: 1 },
    { pool: 'exact', replicas: 4 },
  ],
  callers: 300,
  keys: 75,
  calls: 100,
  concurrency: 32,
  sustainedSeconds: 3,
  cyclesSeconds: 6,
  growthSizes: [300, 3_000],
  lookUps: { sandboxes: 3_000, times: 100 },
  starts: 1,
  memory: { allocations: 4_000, samples: 4, large: 3_000, restMs: 0 },
  safetyCalls: 5_000,
  jobs: 10,
};

const RESULTS = new URL('results/', import.meta.url);
const DOCUMENT = new URL('../../docs/benchmarks.md', import.meta.url);

const { values: options } = parseArgs({
  options: {
    cost: { type: 'boolean', default: false },
    cycles: { type: 'boolean', default: false },
    line: { type: 'boolean', default: false },
    latency: { type: 'boolean', default: false },
    scale: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
  },
});

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  process.stderr.write(`${name} …`);
  const result = await work();
  process.stderr.write(` ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  return result;
}

async function runAll(sizes: Sizes): Promise<Results> {
  const { rounds, callers, concurrency } = sizes;
  const loadBefore = loadavg()[0] ?? 0;
  const safety = await step('safety systems', () => safetyCosts(sizes.safetyCalls));
  const jobSubmitMs = await step('job submission', () => durableSubmitTimes(4 * sizes.jobs));
  const jobStartMs = await step('job start', () => jobStartTimes(sizes.jobs));
  const startMs = await step('start to ready', () => startTimes(sizes.starts));
  const storms: Results['storms'] = [];
  for (const { pool, replicas } of sizes.storms) {
    const free = pool === 'roomy' ? 4 * callers : callers;
    const name = `storm: ${callers} callers, ${free} free, ${replicas} replica${replicas === 1 ? '' : 's'}`;
    const result = await step(name, () => storm(name, { callers, free, replicas, rounds }));
    storms.push({ pool, result });
  }
  return {
    takenAt: new Date().toISOString(),
    node: process.versions.node,
    cores: availableParallelism(),
    storms,
    sameKey: await step('one key × 4 at once', () =>
      sameKey(`one key × 4 at once, ${sizes.keys} keys, 4 replicas`, {
        keys: sizes.keys,
        replicas: 4,
        rounds,
      }),
    ),
    oneByOne: await step('one at a time', () =>
      oneByOne('one at a time, 1 replica', { calls: sizes.calls, rounds }),
    ),
    sustained: await step('allocate → mark → recycle', () =>
      sustained(`allocate → mark → recycle, ${concurrency} labs, 1 replica`, {
        concurrency,
        seconds: sizes.sustainedSeconds,
      }),
    ),
    cycles: await step('leases that come and go', () => measureCycles(sizes.cyclesSeconds)),
    shortOfRoom: await step('short of room', () => shortOfRoom(callers)),
    growth: await step('growth', () => growth(sizes.growthSizes, { callers, rounds })),
    lookUps: await step('look-ups', () => lookUps(sizes.lookUps.sandboxes, sizes.lookUps.times)),
    startMs,
    memory: await step('memory', () => memory({ ...sizes.memory, concurrency })),
    safety,
    jobSubmitMs,
    jobStartMs,
    loadAverage: [loadBefore, loadavg()[0] ?? 0],
  };
}

/** Keeps what was found out in a file of its own, puts it into the document if that is asked for, and prints it. */
async function tell(
  name: string,
  found: object,
  { text, markdown, mark }: { text: string; markdown: string; mark: string },
): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(
    new URL(`${name.replaceAll(':', '-')}.json`, RESULTS),
    `${JSON.stringify(found, null, 2)}\n`,
  );
  if (options.docs) {
    const before = await readFile(DOCUMENT, 'utf8');
    const marks = new RegExp(`(<!-- ${mark} -->\n)[\\s\\S]*?(<!-- end of ${mark} -->)`);
    await writeFile(
      DOCUMENT,
      before.replace(marks, (_, begin: string, end: string) => `${begin}\n${markdown}\n\n${end}`),
    );
  }
  console.log(`${options.markdown ? markdown : text}\n`);
}

if (options.cost) {
  const costs = await step('cost', () => measureCosts(options));
  await tell(`cost-${costs.takenAt}`, costs, {
    text: tablesToText(costTables(costs)),
    markdown: takenToMarkdown(costs, costTables(costs)),
    mark: 'cost',
  });
} else if (options.cycles) {
  const cycles = await step('cycles', () => measureCycles(options.quick ? 20 : FULL.cyclesSeconds));
  await tell(`cycles-${cycles.takenAt}`, cycles, {
    text: tablesToText(cyclesTables(cycles)),
    markdown: takenToMarkdown(cycles, cyclesTables(cycles)),
    mark: 'cycles',
  });
} else if (options.line) {
  const line = await step('line', () => measureLine(options));
  await tell(`line-${line.takenAt}`, line, {
    text: tablesToText(lineTables(line)),
    markdown: takenToMarkdown(line, lineTables(line)),
    mark: 'line',
  });
} else if (options.latency) {
  const latency = await step('latency', () => measureLatency(options));
  await tell(`latency-${latency.takenAt}`, latency, {
    text: tablesToText(latencyTables(latency)),
    markdown: takenToMarkdown(latency, latencyTables(latency)),
    mark: 'latency',
  });
} else if (options.scale) {
  const scale = await step('scale', () => measureScale(options));
  await tell(`scale-${scale.takenAt}`, scale, {
    text: tablesToText(scaleTables(scale)),
    markdown: takenToMarkdown(scale, scaleTables(scale)),
    mark: 'scale',
  });
} else {
  const results = await runAll(options.quick ? QUICK : FULL);
  await tell(
    results.takenAt,
    { ...results, targets: targetsOf(results) },
    { text: toText(results), markdown: toMarkdown(results), mark: 'results' },
  );
}
