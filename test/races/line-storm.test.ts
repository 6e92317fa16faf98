import { expect, test, vi } from 'vitest';
import { ENGINE_KINDS } from '../../src/store/engine/binaries.ts';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { testSeed } from '../support/test-seed.ts';
import { lineStorm } from './line-storm.ts';

vi.setConfig(PROCESS_TIMES);

/** Of the storm at full size: `LINE_STORM=1000,50,4`, callers, sandboxes and replicas; `LINE_STORM_ENGINE=dynamodb-local`. */
const [CALLERS = 80, SANDBOXES = 6, REPLICAS = 3] = (process.env['LINE_STORM'] ?? '')
  .split(',')
  .filter(Boolean)
  .map(Number);
const ENGINE = ENGINE_KINDS.find((kind) => kind === process.env['LINE_STORM_ENGINE']) ?? 'dynoxide';
const IS_LARGE = process.env['LINE_STORM'] !== undefined;
const SEED = testSeed('LINE_STORM_SEED');
/** What callers may see of processes that die; `-` is no answer. */
const LAWFUL =
  /^(allocate (200|201|202|409 NO_SANDBOXES_AVAILABLE|409 PLACE_LOST)|mark 200|(allocate|mark) (-|503 (STORE_UNAVAILABLE|BUSY))|allocate 503 POOL_NOT_SYNCED)$/;

test('over replicas that are killed, as the engine is, everybody is served in turn, once', {
  timeout: 3_600_000,
}, async () => {
  const report = await lineStorm({
    engine: ENGINE,
    callers: CALLERS,
    sandboxes: SANDBOXES,
    replicas: REPLICAS,
    ...(IS_LARGE ? { waitSeconds: 10, clockRate: 2 } : { waitSeconds: 1, clockRate: 10 }),
    kills: 2,
    engineKills: 1,
    seed: SEED,
  });
  const { violations, wronged, placesLeft, kinds } = report;
  const strange = Object.keys(kinds).filter((kind) => !LAWFUL.test(kind));
  if (IS_LARGE) console.log(JSON.stringify({ ...report, violations: violations.length }));
  expect({ violations: violations.slice(0, 5), wronged, placesLeft, strange }).toEqual({
    violations: [],
    wronged: [],
    placesLeft: 0,
    strange: [],
  });
  // It was a storm.
  expect([report.kills, report.engineKills]).toEqual([2, 1]);
  expect(kinds['allocate 202'], 'waited longer than a call').toBeGreaterThan(0);
  expect(kinds['allocate -'], 'answers that were lost').toBeGreaterThan(0);
  expect(kinds['allocate 409 NO_SANDBOXES_AVAILABLE'], 'those who pushed').toBeGreaterThan(0);
});
