import { parseArgs } from 'node:util';
import { startEngine } from '../../src/store/engine/engine.ts';
import { createBench } from '../model/model-bench.ts';
import { search, tellFailure } from '../model/search.ts';
import { freezes, KILLS, killStorm } from '../races/kill-storm.ts';

/**
 * Random programs by the thousand: `npm run soak -- --programs 20000 --minutes 60 --seed 1`. Each batch has a seed of
 * its own and ends with its first failure. Then real processes are killed for `--storm-seconds` (0: not at all), and once
 * more while their engine freezes. Exits with 1 when a promise was broken.
 */
const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    batch: { type: 'string', default: '200' },
    'max-failures': { type: 'string', default: '5' },
    'shrink-seconds': { type: 'string', default: '60' },
    'storm-seconds': { type: 'string', default: '300' },
  },
});

function numberOf(name: keyof typeof values): number {
  const value = Number(values[name]);
  if (!(value > 0)) throw new RangeError(`--${name} must be > 0, not ${values[name]}`);
  return value;
}

const wanted = numberOf('programs');
const batch = numberOf('batch');
const firstSeed = numberOf('seed');
const maxFailures = numberOf('max-failures');
const shrinkMs = numberOf('shrink-seconds') * 1_000;
const startedMs = performance.now();
const endsAtMs = startedMs + numberOf('minutes') * 60_000;

const engine = await startEngine({ file: undefined });
const bench = createBench(engine.endpoint);
const outcomes = new Map<string, number>();
let ran = 0;
let storeCalls = 0;
let failures = 0;

for (let seed = firstSeed; ran < wanted && failures < maxFailures && performance.now() < endsAtMs; seed++) {
  const programs = Math.min(batch, wanted - ran);
  const withinMs = endsAtMs - performance.now();
  const result = await search(bench, { seed, programs, withinMs, shrinkMs });
  ran += result.ran;
  storeCalls += result.storeCalls;
  for (const [outcome, times] of result.outcomes) {
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times);
  }
  if (result.failure) {
    failures += 1;
    console.log(`seed ${seed}: program ${result.ran} broke a promise\n${tellFailure(result.failure)}`);
  }
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(
    `${ran} programs, ${storeCalls} store calls, ${seconds} s, ${failures} failures (seed ${seed})`,
  );
}

await bench.close();
await engine.stop();
const stormSeconds = Number(values['storm-seconds']);
let broken = failures;
for (const troubles of stormSeconds > 0 ? [KILLS, freezes(stormSeconds)] : []) {
  const storm = await killStorm({ seconds: stormSeconds, seed: firstSeed, ...troubles });
  console.dir(storm, { depth: null });
  broken += storm.violations.length + storm.unsettled.length;
}

for (const [outcome, times] of [...outcomes].sort()) console.log(`  ${outcome}: ${times}`);
console.log(`${ran} of ${wanted} programs from seed ${firstSeed} on, ${failures} broke a promise`);
process.exitCode = broken === 0 ? 0 : 1;
