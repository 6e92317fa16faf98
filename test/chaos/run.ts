import { startEngine } from '../../src/store/engine/engine.ts';
import type { Finding } from './drill.ts';
import { retryRace } from './retry-race.ts';
import { storeKilled } from './store-killed.ts';
import { storm } from './storm.ts';

/** Drills over real brokers: `npm run chaos`. Exits with 1 when a promise was broken, or a drill could not be held. */
const engine = await startEngine({ file: undefined });
const { endpoint } = engine;
const drills: [name: string, hold: () => Promise<Finding[]>][] = [
  [
    'store killed',
    () =>
      storeKilled({
        endpoint,
        replicas: 2,
        poolSize: 2_000,
        lanes: 8,
        swallowed: 12,
        outageMs: 8_000,
        cuts: 8,
      }),
  ],
  ['retry race', () => retryRace({ endpoint, replicas: 3, rounds: 5 })],
  ['storm', () => storm({ endpoint, replicas: 2, marked: 60, allocations: 40 })],
];

let broken = 0;
for (const [name, hold] of drills) {
  console.log(`\n${name}`);
  try {
    for (const { promised, saw, kept } of await hold()) {
      if (!kept) broken += 1;
      console.log(`  ${kept ? 'kept  ' : 'BROKEN'}  ${promised}\n            saw: ${saw}`);
    }
  } catch (error) {
    broken += 1;
    console.log('  BROKEN  the drill came to an end before its time:', error);
  }
}
await engine.stop();
console.log(broken === 0 ? '\nevery promise was kept' : `\n${broken} broken`);
process.exitCode = broken === 0 ? 0 : 1;
