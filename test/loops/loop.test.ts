import { expect, test } from 'vitest';
import { soonAgain } from '../../src/loops/come-back.ts';
import { context } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { failWith, timedOut } from '../support/store/injected-faults.ts';
import { until } from '../support/until.ts';
import { AN_HOUR_MS, loopsOn, NAME } from './loop-steps.ts';

const A_DAY_MS = 86_400_000;
const SOON = { comeBack: soonAgain(20) };

describeOnFastEngine('a loop', ({ endpoint }) => {
  const { make, injectFaults } = loopsOn(endpoint);

  test('runs when it starts, and tells what the run did', async () => {
    const { loop, reports, alerts, correlated } = make((options, { actor, requestId }) => {
      expect({ options, actor }).toEqual({ options: { word: 'loop' }, actor: 'background_sync' });
      expect(requestId).toMatch(/^job-sync-\d{10}$/);
      return Promise.resolve({ created: 3, skipped: 0 });
    });
    loop.start();
    await until(() => reports.length === 1, { what: 'the run is reported' });
    expect(reports).toEqual([
      {
        loop: NAME,
        action: 'background_sync',
        outcome: 'success',
        durationMs: expect.any(Number),
        counts: { created: 3, skipped: 0 },
      },
    ]);
    expect(correlated).toHaveLength(1);
    expect(correlated[0]).toMatchObject({
      requestId: expect.stringMatching(/^job-sync-/),
      actor: 'background_sync',
    });
    expect(alerts).toEqual([]);
  });

  test('reports a failed run, raises an alert, and goes on', async () => {
    let runs = 0;
    const { loop, reports, alerts } = make(
      () => {
        runs++;
        return runs <= 2 ? Promise.reject(new Error(`run ${runs}`)) : Promise.resolve({ done: 1 });
      },
      { intervalMs: 20 },
    );
    loop.start();
    await until(() => reports.some(({ outcome }) => outcome === 'success'), {
      what: 'it has recovered',
    });
    const [first, second] = reports;
    expect(first).toMatchObject({ outcome: 'error', error: new Error('run 1') });
    expect(second).toMatchObject({ outcome: 'error', error: new Error('run 2') });
    expect(alerts).toMatchObject([
      { task: NAME, reason: 'run_failed', severity: 'error', context: { error: 'run 1' } },
      { task: NAME, reason: 'run_failed', severity: 'error', context: { error: 'run 2' } },
    ]);
  });

  test('comes back soon after a run that left something, and by its interval after one that did not', async () => {
    const left = [1, 1, 0];
    const { loop, reports } = make(() => Promise.resolve({ recent: left.shift() ?? 1 }), SOON);
    loop.start();
    await until(() => reports.length === 3 && loop.nextRunAtMs() !== undefined, { what: 'the third run' });
    expect(loop.nextRunAtMs()).toBeGreaterThan(Date.now() + AN_HOUR_MS / 2);
    expect(left).toEqual([]);
  });

  test('comes back soon, too, when the run that left something was asked for by somebody', async () => {
    const left = [0, 1, 0];
    const { loop, reports } = make(() => Promise.resolve({ recent: left.shift() ?? 1 }), SOON);
    loop.start();
    await until(() => reports.length === 1 && loop.nextRunAtMs() !== undefined, { what: 'the first run' });
    await loop.runNow({ word: 'now' }, context());
    await until(() => reports.length === 3, { what: 'a third run that nobody asked for' });
    expect(reports.map(({ counts }) => counts)).toEqual([{ recent: 0 }, { recent: 1 }, { recent: 0 }]);
  });

  test('that refused to do what it did not believe is no success, and comes again by its interval', async () => {
    const { loop, reports, alerts } = make(() => Promise.resolve({ stale_refused: 2 }), SOON);
    loop.start();
    await until(() => reports.length === 1 && loop.nextRunAtMs() !== undefined, { what: 'the run' });
    expect(reports).toMatchObject([{ outcome: 'refused', counts: { stale_refused: 2 } }]);
    expect(loop.nextRunAtMs()).toBeGreaterThan(Date.now() + AN_HOUR_MS / 2);
    expect(alerts).toEqual([]);
  });

  test('of which a part failed is no success either', async () => {
    const { loop, reports, alerts } = make(() => Promise.resolve({ deleted: 34, failed: 6 }));
    loop.start();
    await until(() => reports.length === 1, { what: 'the run' });
    expect(reports).toMatchObject([{ outcome: 'partial', counts: { failed: 6 } }]);
    expect(alerts).toEqual([]);
  });

  test('that runs once a day comes again within minutes when it failed, and in a day when it did not', async () => {
    const startedAtMs = Date.now();
    const { loop: failing } = make(() => Promise.reject(new Error('the provider is away')), {
      intervalMs: A_DAY_MS,
    });
    failing.start();
    const againAtMs = await until(() => failing.nextRunAtMs(), { what: 'it rests after its failure' });
    expect(againAtMs - startedAtMs).toBeLessThan(5 * 60_000);
    await failing.stop();

    const { loop: working } = make(() => Promise.resolve({}), { intervalMs: A_DAY_MS });
    working.start();
    const nextAtMs = await until(() => working.nextRunAtMs(), { what: 'it rests after its run' });
    expect(nextAtMs - startedAtMs).toBeGreaterThan(A_DAY_MS / 2);
  });

  test('goes on when the store was out of reach', async () => {
    const faults = injectFaults();
    const { loop, reports, alerts } = make(() => Promise.resolve({ done: 1 }), { intervalMs: 20 });
    faults.next('UpdateItem', failWith(timedOut), { times: 4 });
    loop.start();
    await until(() => reports.some(({ outcome }) => outcome === 'success'), {
      what: 'it has recovered',
    });
    expect(reports[0]).toMatchObject({ outcome: 'error', error: { code: 'STORE_UNAVAILABLE' } });
    expect(alerts).toMatchObject([{ reason: 'run_failed' }]);
  });

  test('gives signs of life while it works and while it rests', async () => {
    const { loop, heartbeat, reports } = make(
      (_options, _context, onProgress) => {
        for (let step = 0; step < 10; step++) onProgress();
        return Promise.resolve({});
      },
      { heartbeatEveryMs: 5 },
    );
    loop.start();
    await until(() => reports.length === 1, { what: 'the run is reported' });
    expect(heartbeat.totalBeats).toBeGreaterThanOrEqual(12);
    const beats = heartbeat.totalBeats;
    await until(() => heartbeat.totalBeats > beats + 3, { what: 'it beats on while it rests' });
  });

  test.for([0, -1, Number.NaN])('is not made with an interval of %d', (intervalMs) => {
    expect(() => make(() => Promise.resolve({}), { intervalMs })).toThrow(RangeError);
  });
});
