import { describe, expect, test } from 'vitest';
import { StoreUnavailableError } from '../../src/domain/errors.ts';
import { type ReadinessSources, readinessChecks } from '../../src/live/readiness-checks.ts';
import { toReadyAnswer } from '../../src/live/readiness-report.ts';
import { createReadiness } from '../../src/safety/readiness/readiness.ts';

const HEALTHY = {
  isHealthy: true,
  isRunning: true,
  lastHeartbeatMs: 0,
  secondsSinceHeartbeat: 0,
  totalChecks: 1,
};
const OK = { state: 'ok' } as const;

/** What `/readyz` is told, where all is well but for `sources`. */
async function answerOf(sources: Partial<ReadinessSources> = {}) {
  const checks = readinessChecks({
    heartbeats: () => ({}),
    clock: () => OK,
    runtime: () => [],
    governor: { status: () => [QUOTA] },
    openBreakers: () => [],
    failedLoops: () => [],
    poolStats: () => undefined,
    stocking: STOCKED,
    isStoreSilent: () => false,
    isShuttingDown: () => false,
    ...sources,
  });
  const answer = toReadyAnswer(await createReadiness({ checks }).runAll());
  const notOk = Object.entries(answer.checks).filter(([, text]) => text !== 'ok');
  return { ...answer, checks: Object.fromEntries(notOk) };
}

const STOCKED: ReadinessSources['stocking'] = {
  look: async () => true,
  wasThereWithin: () => false,
  openSinceMs: () => 0,
  readiness: () => ({ pool: OK, sync: OK }),
};

const QUOTA = {
  resource: 'allocate',
  scope: 'local',
  currentActions: 0,
  maxActions: 1,
  windowSeconds: 1,
  deniedCount: 0,
  overridden: false,
} as const;

const counts = (of: object, asOfMs: number) => {
  const all = {
    available: 0,
    allocated: 0,
    pending_deletion: 0,
    deletion_failed: 0,
    stale: 0,
    cooling: 0,
    quarantined: 0,
    ...of,
  };
  return { counts: all, total: Object.values(all).reduce((sum, count) => sum + count, 0), asOfMs };
};

describe('readiness', () => {
  test('is GO where nothing is wrong', async () => {
    expect(await answerOf()).toMatchObject({ verdict: 'go', reasons: [], staysInService: true, checks: {} });
  });

  test('tells a silent loop from a silent worker', async () => {
    const heartbeats = () => ({
      sync: { ...HEALTHY, isHealthy: false },
      cleanup: HEALTHY,
      worker: { ...HEALTHY, isHealthy: false },
    });
    const { verdict, checks } = await answerOf({ heartbeats });
    expect(verdict).toBe('degraded');
    expect(checks).toEqual({
      heartbeats: 'degraded: no sign of life from sync',
      worker: 'degraded: no sign of life from the worker',
    });
  });

  test('is limited by suspended calls, failed loops and quotas that are not there', async () => {
    const { verdict, checks } = await answerOf({
      openBreakers: () => ['csp_list', 'webhook'],
      failedLoops: () => ['cleanup (in part)', 'expire'],
      governor: { status: () => [] },
    });
    expect(verdict).toBe('degraded');
    expect(checks).toEqual({
      breakers: 'degraded: calls are suspended by csp_list, webhook',
      loops: 'degraded: the last run failed: cleanup (in part), expire',
      governor: 'degraded: no quotas',
    });
  });

  test('believes no count that is older than the pool', async () => {
    const empty = counts({ allocated: 3 }, 1_000);
    const of = (openSinceMs: number) =>
      answerOf({
        poolStats: () => empty,
        stocking: { ...STOCKED, openSinceMs: () => openSinceMs },
      });
    expect((await of(2_000)).checks).toEqual({});
    expect((await of(1_000)).checks).toEqual({
      pool: 'degraded: exhausted, no sandbox is free (3 allocated)',
    });
  });

  test('refuses before the first sync with what callers can act on', async () => {
    const pool = { state: 'failing', detail: 'not synced yet' } as const;
    const answer = await answerOf({
      stocking: { ...STOCKED, readiness: () => ({ pool, sync: OK }) },
    });
    expect(answer).toMatchObject({ verdict: 'no_go', refusal: 'POOL_NOT_SYNCED', staysInService: false });
  });

  test('asks the store only where nobody has lately, or it has not answered since', async () => {
    let looks = 0;
    const stocking = {
      ...STOCKED,
      async look() {
        looks++;
        return true;
      },
      wasThereWithin: (ms: number) => ms >= 10_000,
    };
    expect(await answerOf({ stocking })).toMatchObject({ verdict: 'go' });
    expect(looks).toBe(0);
    await answerOf({ stocking, isStoreSilent: () => true });
    await answerOf({ stocking: { ...stocking, wasThereWithin: () => false } });
    expect(looks).toBe(2);
  });

  test('stays in service while the store is away from everybody, and not where its table is another', async () => {
    const withLook = (look: ReadinessSources['stocking']['look']) =>
      answerOf({ stocking: { ...STOCKED, look } });
    expect(await withLook(() => Promise.reject(new StoreUnavailableError('away')))).toMatchObject({
      verdict: 'no_go',
      refusal: 'STORE_UNAVAILABLE',
      staysInService: true,
      checks: { dynamodb: 'error: the store does not answer' },
    });
    expect(await withLook(async () => false)).toMatchObject({ verdict: 'no_go', staysInService: false });
  });

  test('ends with the process', async () => {
    expect(await answerOf({ isShuttingDown: () => true })).toMatchObject({
      verdict: 'no_go',
      refusal: 'SHUTTING_DOWN',
      checks: { shutdown: 'shutting_down' },
    });
  });
});
