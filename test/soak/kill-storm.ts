import { parseArgs } from 'node:util';
import { freshSeed, killStorm } from '../races/kill-storm.ts';

/**
 * The storm of killed processes for longer than the tests have: `node test/soak/kill-storm.ts --seconds 300 --seed 1`.
 * Prints what happened; exits with 1 when a promise was broken or something did not recover by itself.
 */
const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' } } });
const seconds = Number(values.seconds ?? 300);
const seed = Number(values.seed ?? freshSeed());
if (!(seconds > 0)) throw new RangeError(`--seconds must be > 0, not ${values.seconds}`);
if (!Number.isSafeInteger(seed)) throw new RangeError(`--seed must be a whole number, not ${values.seed}`);

const report = await killStorm({ seconds, seed });
console.dir(report, { depth: null });
// Sockets that the fault proxy has reset can keep a process alive.
process.exit(report.violations.length + report.unsettled.length === 0 ? 0 : 1);
