import { describe, expect, it } from 'vitest';
import type { ReadinessFinding } from '../../../src/domain/readiness.ts';
import type { RuntimeCheck } from '../../../src/domain/runtime-check.ts';
import { runtimeReadiness, watchRuntime } from '../../../src/live/runtime-watch.ts';
import {
  createReadiness,
  type ReadinessCheck,
  type ReadinessReport,
  verdictText,
} from '../../../src/safety/readiness/readiness.ts';
import type { Alert } from '../../../src/usecases/alert.ts';
import { createFakeClock } from '../../support/broker/core.ts';

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
    const readiness = createReadiness({
      checks: [check('store'), check('worker')],
      clock,
      onChange: (report) => changes.push(report),
    });
    expect(readiness.last()).toBeUndefined();

    const report = await readiness.runAll();

    expect(report).toEqual({
      verdict: 'go',
      reasons: [],
      refusal: undefined,
      lastCheckMs: clock.nowMs(),
      totalChecks: 2,
      passedChecks: 2,
      failedChecks: 0,
      checks: { store: { state: 'ok' }, worker: { state: 'ok' } },
    });
    expect(readiness.last()).toBe(report);
    expect(changes).toEqual([report]);
  });

  it('is serving with a but when something is degraded, and NO-GO when something fails, each with its reason', async () => {
    const findings: Record<string, ReadinessFinding> = {
      pool: { state: 'degraded', detail: 'exhausted' },
    };
    const readiness = createReadiness({
      checks: ['pool', 'store'].map((name) =>
        check(name, { check: () => findings[name] ?? { state: 'ok' } }),
      ),
      clock: createFakeClock(),
    });

    const limited = await readiness.runAll();
    expect(limited).toMatchObject({ verdict: 'degraded', reasons: ['pool: exhausted'], failedChecks: 1 });
    expect(limited.refusal).toBeUndefined();
    expect(verdictText(limited)).toBe('Serving, but: pool: exhausted');

    findings['store'] = { state: 'failing', detail: 'away' };
    const down = await readiness.runAll();
    expect(down).toMatchObject({
      verdict: 'no_go',
      reasons: ['store: away', 'pool: exhausted'],
      refusal: 'STORE_UNAVAILABLE',
      failedChecks: 2,
    });
    expect(verdictText(down)).toBe('NO-GO: store: away; pool: exhausted');
  });

  it('refuses with the word of the check that fails', async () => {
    const readiness = createReadiness({
      checks: [check('pool', { refusal: 'BUSY', check: () => ({ state: 'failing', detail: 'not yet' }) })],
      clock: createFakeClock(),
    });
    expect(await readiness.runAll()).toMatchObject({ verdict: 'no_go', refusal: 'BUSY' });
  });

  it('takes a check that throws or hangs for what it was said to come to, and tells nothing of its inside', async () => {
    const hanging = () => new Promise<never>(() => undefined);
    const readiness = createReadiness({
      checks: [
        check('throws', { check: () => Promise.reject(new Error('password=hunter2')) }),
        check('throws_at_once', {
          otherwise: 'degraded',
          check: () => {
            throw new Error('boom');
          },
        }),
        check('hangs', { otherwise: 'degraded', timeoutMs: 20, check: hanging }),
      ],
      clock: createFakeClock(),
    });

    const { checks } = await readiness.runAll();

    expect(checks).toEqual({
      throws: { state: 'failing', detail: 'the check failed' },
      throws_at_once: { state: 'degraded', detail: 'the check failed' },
      hangs: { state: 'degraded', detail: 'no answer within 20 ms' },
    });
  });

  it('asks once for all who ask at the same moment, and tells of each turn once', async () => {
    let asked = 0;
    let finding: ReadinessFinding = { state: 'ok' };
    const turns: string[] = [];
    const readiness = createReadiness({
      checks: [
        check('store', {
          check: async () => {
            asked++;
            return finding;
          },
        }),
      ],
      clock: createFakeClock(),
      onChange: (report) => turns.push(report.verdict),
    });

    await Promise.all(Array.from({ length: 10 }, () => readiness.runAll()));
    expect(asked).toBe(1);
    for (const next of [
      { state: 'degraded', detail: '3 taken' },
      { state: 'degraded', detail: '4 taken' },
      { state: 'failing', detail: 'away' },
      { state: 'failing', detail: 'away' },
      { state: 'ok' },
    ] as const) {
      finding = next;
      await readiness.runAll();
    }

    expect(turns).toEqual(['go', 'degraded', 'no_go', 'go']);
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

  it('takes checks one by one, of plain yes and no, and says so in booleans', async () => {
    let isUp = true;
    const readiness = createReadiness();
    readiness.register({ name: 'cache', check: async () => isUp });
    readiness.register({ name: 'mail', otherwise: 'degraded', check: () => false });
    expect(() => readiness.register({ name: 'mail', check: () => true })).toThrow(RangeError);
    expect([readiness.isReady(), readiness.status()]).toEqual([
      false,
      { ready: false, checks: { cache: false, mail: false } },
    ]);
    await readiness.runAll();
    expect(readiness.status()).toEqual({ ready: true, checks: { cache: true, mail: false } });
    isUp = false;
    expect(await readiness.runAll()).toMatchObject({
      verdict: 'no_go',
      reasons: ['cache: cache says no', 'mail: mail says no'],
    });
    expect(readiness.isReady()).toBe(false);
  });
});
