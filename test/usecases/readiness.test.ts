import { describe, expect, it } from 'vitest';
import type { RuntimeCheck } from '../../src/domain/runtime-check.ts';
import type { Alert } from '../../src/usecases/alert.ts';
import { createReadiness, type ReadinessCheck, type ReadinessReport } from '../../src/usecases/readiness.ts';
import { runtimeReadiness, watchRuntime } from '../../src/usecases/watch-runtime.ts';
import { createFakeClock } from '../support/core.ts';

const check = (name: string, more: Partial<ReadinessCheck> = {}): ReadinessCheck => ({
  name,
  otherwise: 'failing',
  timeoutMs: 1_000,
  check: () => ({ state: 'ok' }),
  ...more,
});

describe('readiness', () => {
  it('is GO when every check is ok', async () => {
    const clock = createFakeClock();
    const changes: ReadinessReport[] = [];
    const readiness = createReadiness([check('store'), check('worker')], clock, (report) =>
      changes.push(report),
    );
    expect(readiness.last()).toBeUndefined();

    const report = await readiness.evaluate();

    expect(report).toEqual({
      isReady: true,
      isServing: true,
      lastCheckMs: clock.nowMs(),
      totalChecks: 2,
      passedChecks: 2,
      failedChecks: 0,
      checks: { store: { state: 'ok' }, worker: { state: 'ok' } },
    });
    expect(readiness.last()).toBe(report);
    expect(changes).toEqual([report]);
  });

  it('is NO-GO and serving when something is degraded, and not serving when something fails', async () => {
    const findings = { store: 'ok', worker: 'degraded' } as Record<string, 'ok' | 'degraded' | 'failing'>;
    const readiness = createReadiness(
      ['store', 'worker'].map((name) => check(name, { check: () => ({ state: findings[name] ?? 'ok' }) })),
      createFakeClock(),
      () => undefined,
    );

    expect(await readiness.evaluate()).toMatchObject({ isReady: false, isServing: true, failedChecks: 1 });
    findings.store = 'failing';
    expect(await readiness.evaluate()).toMatchObject({ isReady: false, isServing: false, failedChecks: 2 });
  });

  it('takes a check that throws or hangs for what it was said to come to, and tells nothing of its inside', async () => {
    const hanging = () => new Promise<never>(() => undefined);
    const readiness = createReadiness(
      [
        check('throws', { check: () => Promise.reject(new Error('password=hunter2')) }),
        check('throws_at_once', {
          otherwise: 'degraded',
          check: () => {
            throw new Error('boom');
          },
        }),
        check('hangs', { otherwise: 'degraded', timeoutMs: 20, check: hanging }),
      ],
      createFakeClock(),
      () => undefined,
    );

    const { checks } = await readiness.evaluate();

    expect(checks).toEqual({
      throws: { state: 'failing', detail: 'the check failed' },
      throws_at_once: { state: 'degraded', detail: 'the check failed' },
      hangs: { state: 'degraded', detail: 'no answer within 20 ms' },
    });
  });

  it('asks once for all who ask at the same moment, and tells of each turn once', async () => {
    let asked = 0;
    let state: 'ok' | 'failing' = 'ok';
    const turns: boolean[] = [];
    const readiness = createReadiness(
      [
        check('store', {
          check: async () => {
            asked++;
            return { state };
          },
        }),
      ],
      createFakeClock(),
      (report) => turns.push(report.isReady),
    );

    await Promise.all(Array.from({ length: 10 }, () => readiness.evaluate()));
    expect(asked).toBe(1);
    state = 'failing';
    await readiness.evaluate();
    await readiness.evaluate();
    state = 'ok';
    await readiness.evaluate();

    expect(turns).toEqual([true, false, true]);
  });
});

describe('the watch over the store', () => {
  const finding = (name: string, status: RuntimeCheck['status']): RuntimeCheck => ({
    name,
    status,
    message: 'as it is.',
    details: {},
  });

  it('alerts when a check turns bad, not again while it stays so', async () => {
    const alerts: Alert[] = [];
    let status: RuntimeCheck['status'] = 'warning';
    const watch = watchRuntime(
      async () => [finding('ttl', status)],
      (alert) => alerts.push(alert),
    );
    await watch.look();
    expect(alerts).toEqual([]);
    status = 'error';
    await watch.look();
    await watch.look();
    expect(alerts).toMatchObject([{ task: 'runtime', reason: 'runtime_ttl', severity: 'error' }]);
    status = 'critical';
    await watch.look();
    status = 'ok';
    await watch.look();
    status = 'error';
    await watch.look();
    expect(alerts.map((alert) => alert.severity)).toEqual(['error', 'critical', 'error']);
    expect(watch.last()).toEqual([finding('ttl', 'error')]);
  });

  it.each([
    ['nothing was looked at', undefined, { state: 'degraded', detail: 'not looked at yet' }],
    ['all is well', [finding('ttl', 'ok')], { state: 'ok' }],
    ['there are warnings', [finding('ttl', 'warning')], { state: 'ok' }],
    ['something is wrong', [finding('ttl', 'error')], { state: 'degraded', detail: 'ttl' }],
    [
      'no lease is safe',
      [finding('ttl', 'error'), finding('schema', 'critical')],
      { state: 'failing', detail: 'ttl, schema' },
    ],
  ])('when %s comes to the right state', (_what, checks, expected) => {
    expect(runtimeReadiness(checks)).toEqual(expected);
  });
});
