import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { RaisedAlert } from '../../../src/domain/resilience/alert.ts';
import { type AlertsOptions, createAlerts } from '../../../src/safety/alerts/alerts.ts';
import { type AlertEvents, countAlerts, emitAlerts, logAlerts } from '../../../src/safety/alerts/hooks.ts';
import { redaction } from '../../../src/safety/redacted.ts';
import { currentCorrelation, runWithCorrelation } from '../../../src/telemetry/correlation.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { alertOf, raised } from '../../support/broker/alerts.ts';
import { createFakeClock } from '../../support/broker/core.ts';
import { until } from '../../support/until.ts';

function setUp(options: Partial<AlertsOptions> = {}) {
  let ids = 0;
  const clock = createFakeClock();
  const errors: unknown[] = [];
  const alerts = createAlerts({
    clock,
    newId: () => `id-${++ids}`,
    replicaId: 'replica-1',
    redact: redaction(['s3cret-value']),
    correlation: currentCorrelation,
    onListenerError: (error) => errors.push(error),
    ...options,
  });
  const contextOf = (context: Record<string, unknown>) => {
    alerts.raise(alertOf({ context }));
    return alerts.recent({}, 1)[0]?.context;
  };
  return { alerts, clock, errors, contextOf };
}

describe('an alert', () => {
  test('has an id, a time, and the replica that raised it', () => {
    const { alerts, clock } = setUp();
    alerts.raise({ task: 'sync', reason: 'shrink_guard', severity: 'critical', context: { missing: 3 } });
    expect(alerts.recent({}, 10)).toEqual([
      {
        id: 'id-1',
        atMs: clock.nowMs(),
        task: 'sync',
        reason: 'shrink_guard',
        severity: 'critical',
        context: { missing: 3 },
        replica: 'replica-1',
      },
    ]);
  });

  test('has the ids of the request or run that raised it, whatever its context says', async () => {
    const { alerts } = setUp();
    const ids = Array.from({ length: 20 }, (_, n) => ({
      requestId: `request-${n}`,
      correlationId: `correlation-${n}`,
    }));
    await Promise.all(
      ids.map((each) =>
        runWithCorrelation(each, async () => {
          await Promise.resolve();
          alerts.raise(alertOf({ reason: each.requestId, context: { correlation_id: 'forged' } }));
        }),
      ),
    );
    for (const { reason, context } of alerts.recent({}, 20)) {
      expect(context).toEqual({
        request_id: reason,
        correlation_id: reason.replace('request', 'correlation'),
      });
    }
  });

  test('has no secret in its context, by name, by value, or inside of a URL', () => {
    const { contextOf } = setUp();
    const context = contextOf({
      error: 'refused with s3cret-value at https://user:pass@hooks.example/x',
      api_token: 'abc',
      nested: { authorization: 'Bearer abcdefghij' },
      attempts: 3,
    });
    expect(JSON.stringify(context)).not.toMatch(/s3cret|pass@|abcdefghij|"abc"/);
    expect(context).toMatchObject({ attempts: 3 });
  });

  test('is JSON of bounded size, whatever is in its context', () => {
    const { contextOf } = setUp();
    const deep: Record<string, unknown> = { level: 1 };
    deep['next'] = deep;
    const wide = () => Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, 'x'.repeat(999)]));
    const hostile: Record<string, unknown>[] = [
      deep,
      { wide: { a: wide(), b: wide(), c: { d: wide() } }, attempts: 3 },
      {
        big: 10n,
        call: () => undefined,
        symbol: Symbol('s'),
        nan: Number.NaN,
        inf: -1 / 0,
        when: new Date(0),
      },
      { map: new Map([[1, 2]]), error: new Error('e'), '': 'empty name', __proto__: null },
    ];
    for (const each of hostile) {
      const context = contextOf(each) ?? {};
      expect(JSON.parse(JSON.stringify(context))).toEqual(context);
      expect(JSON.stringify(context).length).toBeLessThan(16_384);
    }
    expect(contextOf(hostile[1] ?? {})).toEqual({ attempts: 3, context_cut: true });
  });

  test('is raised although its context cannot be read', () => {
    const { contextOf } = setUp();
    const trap = {
      get boom(): string {
        throw new Error('boom');
      },
    };
    expect(contextOf(trap)).toEqual({ context_unreadable: true });
  });
});

describe('the ring', () => {
  test('keeps the last thousand, and shows the newest first', () => {
    const { alerts, clock } = setUp();
    for (let n = 1; n <= 2_345; n++) {
      clock.advanceSeconds(1);
      alerts.raise(alertOf({ context: { n } }));
    }
    const numbers = alerts.recent({}, 5_000).map(({ context }) => context['n']);
    expect(numbers).toEqual(Array.from({ length: 1_000 }, (_, n) => 2_345 - n));
  });

  test('can be asked for a task, a severity, a severity and above, and for none', () => {
    const { alerts, clock } = setUp();
    for (const severity of ['info', 'warning', 'error', 'critical'] as const) {
      for (const task of ['sync', 'cleanup']) {
        clock.advanceSeconds(1);
        alerts.raise(alertOf({ task, severity }));
      }
    }
    const shown = (...query: Parameters<typeof alerts.recent>) =>
      alerts.recent(...query).map(({ task, severity }) => `${task} ${severity}`);
    expect(shown({ severity: 'error' }, 9)).toEqual(['cleanup error', 'sync error']);
    expect(shown({ minSeverity: 'error', task: 'sync' }, 9)).toEqual(['sync critical', 'sync error']);
    expect(shown({ minSeverity: 'info' }, 9)).toHaveLength(8);
    expect(shown({ severity: 'info', minSeverity: 'error' }, 9)).toEqual([]);
    expect(shown({}, 3)).toEqual(['cleanup critical', 'sync critical', 'cleanup error']);
    expect(shown({}, 0)).toEqual([]);
  });
});

describe('a subscriber', () => {
  test('hears of its task, one of * of all, until it stops', () => {
    const { alerts } = setUp();
    const heard: string[] = [];
    const stop = alerts.subscribe('sync', ({ task }) => heard.push(`sync: ${task}`));
    alerts.subscribe('*', ({ task }) => heard.push(`*: ${task}`));
    alerts.raise(alertOf({ task: 'sync' }));
    alerts.raise(alertOf({ task: 'cleanup' }));
    stop();
    stop();
    alerts.raise(alertOf({ task: 'sync' }));
    expect(heard).toEqual(['sync: sync', '*: sync', '*: cleanup', '*: sync']);
  });

  test('that throws hurts neither the others nor whoever raised the alert', async () => {
    const { alerts, errors } = setUp();
    const heard: RaisedAlert[] = [];
    alerts.subscribe('sync', () => {
      throw new Error('at once');
    });
    alerts.subscribe('*', () => Promise.reject(new Error('later')));
    alerts.subscribe('*', (alert) => heard.push(alert));
    expect(() => alerts.raise(alertOf())).not.toThrow();
    expect(heard).toHaveLength(1);
    await until(() => errors.length === 2, { what: 'both errors are reported' });
    expect(errors.map(String)).toEqual(['Error: at once', 'Error: later']);
  });

  test('whose failure cannot even be reported hurts nobody', () => {
    const { alerts } = setUp({
      onListenerError: () => {
        throw new Error('the log is gone, too');
      },
    });
    alerts.subscribe('*', () => {
      throw new Error('broken');
    });
    expect(() => alerts.raise(alertOf())).not.toThrow();
  });

  test('that raises an alert for every alert comes to an end', () => {
    const { alerts } = setUp();
    alerts.subscribe('*', () => alerts.raise(alertOf()));
    alerts.raise(alertOf());
    expect(alerts.recent({}, 100).length).toBeLessThan(10);
    // And the next one is told again.
    const heard: RaisedAlert[] = [];
    alerts.subscribe('pool', (alert) => heard.push(alert));
    alerts.raise(alertOf({ task: 'pool' }));
    expect(heard).toHaveLength(1);
  });
});

describe('the hooks', () => {
  test('write every alert into the log, at its level and under its own name', () => {
    const lines: Record<string, unknown>[] = [];
    const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
    const hook = logAlerts(createLogger({ level: 'trace', pretty: false, destination }));
    for (const severity of ['info', 'warning', 'error', 'critical'] as const) {
      hook(raised({ severity, context: { missing: 3, action: 'forged', severity: 'none' } }));
    }
    expect(lines.map(({ level }) => level)).toEqual(['info', 'warn', 'error', 'error']);
    expect(lines[3]).toMatchObject({
      action: 'alert',
      task: 'sync',
      reason: 'shrink_guard',
      severity: 'critical',
      missing: 3,
      msg: 'alert',
    });
  });

  test('count every alert by task and severity', async () => {
    const metrics = createMetrics(createFakeClock());
    const hook = countAlerts(metrics);
    hook(raised());
    hook(raised());
    expect((await metrics.text()).body).toContain('broker_alerts_total{task="sync",severity="critical"} 2');
  });

  test('emit every alert, and a listener that throws keeps none of the others from hearing it', () => {
    const events: AlertEvents = new EventEmitter();
    const errors: unknown[] = [];
    const hook = emitAlerts(events, (error) => errors.push(error));
    const heard: string[] = [];
    events.once('alert', ({ task }) => heard.push(`once ${task}`));
    events.on('alert', () => {
      throw new Error('broken');
    });
    events.on('alert', ({ task }) => heard.push(task));
    hook(raised());
    hook(raised({ task: 'pool' }));
    expect(heard).toEqual(['once sync', 'sync', 'pool']);
    expect(errors.map(String)).toEqual(['Error: broken', 'Error: broken']);
  });
});
