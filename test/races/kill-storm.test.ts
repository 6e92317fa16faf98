import { expect, test, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker-process.ts';
import { testSeed } from '../support/test-seed.ts';
import { BROKERS, killStorm } from './kill-storm.ts';

vi.setConfig(PROCESS_TIMES);

const SECONDS = Number(process.env['KILL_STORM_SECONDS'] ?? 10);
const SEED = testSeed('KILL_STORM_SEED');
/** What callers may see of processes that die; `-` is no answer. */
const LAWFUL =
  /^(allocate (200|201|409 NO_SANDBOXES_AVAILABLE)|mark (200|403 NOT_SANDBOX_OWNER)|get (200|403 NOT_SANDBOX_OWNER)|(allocate|mark|get) (-|503 (STORE_UNAVAILABLE|BUSY)))$/;

test('brokers and their engine, killed again and again, break no promise and need no help to recover', {
  timeout: SECONDS * 1000 + 170_000,
}, async () => {
  const report = await killStorm({ seconds: SECONDS, seed: SEED });
  const { violations, unsettled, kinds, actions } = report;
  const strange = Object.keys(kinds).filter((kind) => !LAWFUL.test(kind));
  expect({ seed: SEED, violations, unsettled, strange }).toEqual({
    seed: SEED,
    violations: [],
    unsettled: [],
    strange: [],
  });
  // It was a storm: all of this happened.
  expect(report).toMatchObject({ engineKills: 2 });
  expect(report.brokerKills).toBeGreaterThan(BROKERS);
  for (const action of ['allocate', 'mark_for_deletion', 'expire', 'cleanup_deleted', 'sync_revived']) {
    expect(actions[action], action).toBeGreaterThan(0);
  }
  expect(kinds['allocate 200'], 'replays').toBeGreaterThan(0);
  expect(Object.keys(kinds), 'answers that were lost').toContainEqual(expect.stringMatching(/ -$/));
});
