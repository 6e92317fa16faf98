import { describe, expect, it } from 'vitest';
import { createHeartbeat, restBeating } from '../../../src/safety/heartbeat/heartbeat.ts';
import { createHeartbeatMonitor } from '../../../src/safety/heartbeat/heartbeat-monitor.ts';
import type { Alert } from '../../../src/usecases/alert.ts';
import { createFakeClock } from '../../support/broker/core.ts';

describe('a heartbeat', () => {
  function start() {
    let nowMs = 1_000;
    const alerts: Alert[] = [];
    const ages: [string, number][] = [];
    const monitor = createHeartbeatMonitor({
      clock: createFakeClock(Date.UTC(2030, 0, 1)),
      timeoutMs: 30_000,
      alert: (alert) => alerts.push(alert),
      onAge: (name, seconds) => ages.push([name, seconds]),
    });
    const heartbeat = createHeartbeat(() => nowMs);
    monitor.watch('sync', heartbeat);
    const pass = (ms: number) => {
      nowMs += ms;
    };
    return { monitor, heartbeat, alerts, ages, pass, of: () => monitor.report().sync };
  }

  it('that was never started is not healthy, and nothing to alert about', () => {
    const { monitor, alerts, of } = start();
    monitor.check();

    expect(of()).toEqual({
      isRunning: false,
      isHealthy: false,
      lastHeartbeatMs: undefined,
      secondsSinceHeartbeat: undefined,
      totalChecks: 1,
    });
    expect(alerts).toEqual([]);
  });

  it('is healthy up to the time-out and not a millisecond longer', () => {
    const { heartbeat, pass, of } = start();
    heartbeat.begin();
    pass(30_000);
    expect(of()).toMatchObject({
      isRunning: true,
      isHealthy: true,
      secondsSinceHeartbeat: 30,
      lastHeartbeatMs: Date.UTC(2030, 0, 1) - 30_000,
    });
    pass(1);
    expect(of()).toMatchObject({ isRunning: true, isHealthy: false });
  });

  it('that stops is one alert, however often one looks, and one more when it is back', () => {
    const { monitor, heartbeat, alerts, ages, pass } = start();
    heartbeat.begin();
    monitor.check();
    pass(31_000);
    monitor.check();
    monitor.check();
    expect(alerts).toMatchObject([{ task: 'sync', reason: 'heartbeat_hung', severity: 'error' }]);
    heartbeat.beat();
    monitor.check();
    monitor.check();

    expect(alerts.map((alert) => alert.reason)).toEqual(['heartbeat_hung', 'heartbeat_back']);
    expect(ages).toEqual([
      ['sync', 0],
      ['sync', 31],
      ['sync', 31],
      ['sync', 0],
      ['sync', 0],
    ]);
  });

  it('of a loop that was told to end is not healthy, and no alert', () => {
    const { monitor, heartbeat, alerts, pass, of } = start();
    heartbeat.begin();
    heartbeat.end();
    pass(60_000);
    monitor.check();

    expect(of()).toMatchObject({ isRunning: false, isHealthy: false });
    expect(alerts).toEqual([]);
  });

  it('goes on while its loop rests, and ends with the rest', async () => {
    const heartbeat = createHeartbeat();
    const stopping = new AbortController();
    await restBeating(60, { heartbeat, everyMs: 10, signal: stopping.signal });
    expect(heartbeat.totalBeats).toBeGreaterThanOrEqual(2);

    stopping.abort();
    const beats = heartbeat.totalBeats;
    await restBeating(60_000, { heartbeat, everyMs: 10, signal: stopping.signal });
    expect(heartbeat.totalBeats).toBe(beats);
  });

  it('is watched with a time-out that makes sense', () => {
    const options = { clock: createFakeClock(), alert: () => undefined, onAge: () => undefined };
    expect(() => createHeartbeatMonitor({ ...options, timeoutMs: 0 })).toThrow(RangeError);
  });
});
