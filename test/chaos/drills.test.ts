import { expect, test } from 'vitest';
import { describeOnFastEngine } from '../support/store/engines.ts';
import type { Finding } from './drill.ts';
import { retryRace } from './retry-race.ts';
import { storeKilled } from './store-killed.ts';
import { storm } from './storm.ts';

/** Processes start, fail and recover in each of these, at the pace of their intervals. */
const TIMEOUT = { timeout: 120_000 };

function expectKept(findings: readonly Finding[]): void {
  expect(findings.length).toBeGreaterThan(0);
  expect(findings.filter(({ kept }) => !kept)).toEqual([]);
}

/** The short form of `npm run chaos`. */
describeOnFastEngine('every promise is kept', ({ endpoint }) => {
  test('when the store is cut off in the middle of it, comes back, and comes and goes', TIMEOUT, async () => {
    const size = { replicas: 2, poolSize: 400, lanes: 4, swallowed: 4, outageMs: 1_000, cuts: 2 };
    expectKept(await storeKilled({ endpoint, ...size }));
  });

  test('when requests are repeated over several replicas', TIMEOUT, async () => {
    expectKept(await retryRace({ endpoint, replicas: 2, rounds: 1 }));
  });

  test('when the provider fails four deletes of five', TIMEOUT, async () => {
    expectKept(await storm({ endpoint, replicas: 2, marked: 20, allocations: 10 }));
  });
});
