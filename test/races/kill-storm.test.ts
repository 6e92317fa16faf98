import { expect, test, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { testSeed } from '../support/test-seed.ts';
import { freezes, KILLS, type KillStormReport, killStorm } from './kill-storm.ts';

vi.setConfig(PROCESS_TIMES);

const SECONDS = Number(process.env['KILL_STORM_SECONDS'] ?? 5);
/** Of the storm with freezes: of a minute, one of 5 s and one of 20. */
const FREEZE_SECONDS = Number(process.env['FREEZE_STORM_SECONDS'] ?? 9);
const SEED = testSeed('KILL_STORM_SEED');
/** What callers may see of processes that die; `-` is no answer. */
const LAWFUL =
  /^(allocate (200|201|409 NO_SANDBOXES_AVAILABLE)|mark (200|403 NOT_SANDBOX_OWNER)|get (200|403 NOT_SANDBOX_OWNER)|(allocate|mark|get) (-|503 (STORE_UNAVAILABLE|BUSY))|allocate 503 POOL_NOT_SYNCED)$/;

function expectUnbroken(report: KillStormReport): void {
  const { violations, unsettled, kinds, actions } = report;
  const strange = Object.keys(kinds).filter((kind) => !LAWFUL.test(kind));
  expect({ seed: SEED, violations, unsettled, strange }).toEqual({
    seed: SEED,
    violations: [],
    unsettled: [],
    strange: [],
  });
  // It was a storm: all of this happened.
  for (const action of ['allocate', 'mark_for_deletion', 'expire', 'cleanup_deleted', 'sync_revived']) {
    expect(actions[action], action).toBeGreaterThan(0);
  }
  expect(kinds['allocate 200'], 'replays').toBeGreaterThan(0);
  expect(Object.keys(kinds), 'answers that were lost').toContainEqual(expect.stringMatching(/ -$/));
}

test('brokers and their engine, killed again and again, break no promise and need no help to recover', {
  timeout: SECONDS * 1000 + 170_000,
}, async () => {
  const report = await killStorm({ seconds: SECONDS, seed: SEED, ...KILLS });
  expectUnbroken(report);
  expect(report.engineTroubles).toBe(KILLS.engine.length);
  expect(report.brokerKills).toBeGreaterThan(KILLS.brokers);
});

test('with an engine that freezes and a provider that is not well, everything is free again at the end', {
  timeout: FREEZE_SECONDS * 1000 + 170_000,
}, async () => {
  const storm = freezes(FREEZE_SECONDS);
  const report = await killStorm({ seconds: FREEZE_SECONDS, seed: SEED, ...storm });
  expectUnbroken(report);
  expect(report.engineTroubles).toBe(storm.engine.length);
  expect(report.outages).toBeGreaterThan(0);
});
