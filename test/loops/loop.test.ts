import { randomUUID } from 'node:crypto';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { createHeartbeat } from '../../src/loops/heartbeat.ts';
import {
  createLoop,
  type Loop,
  type LoopDeps,
  type LoopOptions,
  type RunReport,
} from '../../src/loops/loop.ts';
import { ProviderError } from '../../src/provider/provider.ts';
import type { StoreClient } from '../../src/store/client.ts';
import { openTable } from '../../src/store/table.ts';
import { createTurns } from '../../src/store/turns.ts';
import type { Alert } from '../../src/usecases/alert.ts';
import { context, createCountingClient, uniqueTable } from '../support/core.ts';
import { describeOnFastEngine } from '../support/engines.ts';
import { failWith, injectFaults, loseAnswer, timedOut } from '../support/injected-faults.ts';
import { until } from '../support/until.ts';

const NAME = 'sync';
const AN_HOUR_MS = 3_600_000;

interface RunOptions {
  word: string;
}

describeOnFastEngine('a loop', ({ endpoint }) => {
  let client: StoreClient;

  beforeEach(async () => {
    client = createCountingClient(endpoint, uniqueTable()).client;
    onTestFinished(() => client.close());
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
  });

  /** A loop on a replica of its own. */
  function make(
    work: LoopOptions<RunOptions>['work'],
    {
      intervalMs = AN_HOUR_MS,
      clock = systemClock,
      ...more
    }: Partial<LoopDeps> & { intervalMs?: number } = {},
  ) {
    const reports: RunReport[] = [];
    const alerts: Alert[] = [];
    const correlated: { requestId: string; correlationId: string }[] = [];
    const heartbeat = createHeartbeat();
    const loop: Loop<RunOptions> = createLoop(
      {
        turns: createTurns(client, randomUUID(), clock),
        clock,
        newId: randomUUID,
        heartbeat,
        report: (report) => reports.push(report),
        alert: (alert) => alerts.push(alert),
        correlate: (ids, run) => {
          correlated.push(ids);
          return run();
        },
        ...more,
      },
      { name: NAME, action: 'background_sync', intervalMs, options: { word: 'loop' }, work },
    );
    onTestFinished(() => loop.stop());
    return { loop, reports, alerts, correlated, heartbeat };
  }

  /** Work that says when it has begun, and ends when it is told to, or when its signal fires. */
  function slowWork() {
    const { promise: begun, resolve: begin } = Promise.withResolvers<AbortSignal>();
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    const work: LoopOptions<RunOptions>['work'] = async (_options, { signal }) => {
      begin(signal);
      const aborted = new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
      await Promise.race([finished, aborted]);
      return { done: 1 };
    };
    return { work, begun, finish };
  }

  const otherTurns = (clock: Clock = systemClock) => createTurns(client, 'another replica', clock);
  const takeAway = { ttlMs: 60_000, onlyIfDue: false };

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

  test('never has two runs at once, over two replicas that tick and are told to run', async () => {
    let under = 0;
    let most = 0;
    let runs = 0;
    const work = async () => {
      most = Math.max(most, ++under);
      await new Promise((resolve) => setTimeout(resolve, 5));
      under--;
      runs++;
      return {};
    };
    const replicas = [make(work, { intervalMs: 10 }), make(work, { intervalMs: 10 })];
    for (const { loop } of replicas) loop.start();
    const refusals: unknown[] = [];
    await until(
      async () => {
        const asked = replicas.flatMap(({ loop }) =>
          [1, 2, 3].map(() => loop.runNow({ word: 'now' }, context())),
        );
        for (const answer of await Promise.allSettled(asked)) {
          if (answer.status === 'rejected') refusals.push(answer.reason);
        }
        return runs > 30;
      },
      { what: 'thirty runs' },
    );
    expect(most).toBe(1);
    expect(refusals.length).toBeGreaterThan(0);
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(replicas.flatMap(({ reports }) => reports).filter(({ outcome }) => outcome === 'error')).toEqual(
      [],
    );
  });

  test('runs on one replica per interval', async () => {
    const intervalMs = 400;
    const begunAtMs: number[] = [];
    const replicas = [0, 1, 2].map((index) => {
      const replica = make(
        () => {
          // The first run of each is its start, whatever the others have done.
          if ((replicas[index]?.reports.length ?? 0) > 0) begunAtMs.push(performance.now());
          return Promise.resolve({});
        },
        { intervalMs },
      );
      return replica;
    });
    for (const { loop } of replicas) loop.start();
    const hasTickedOften = () => replicas.every(({ reports }) => reports.length >= 5);
    await until(hasTickedOften, { what: 'each has ticked five times' });
    expect(begunAtMs.length).toBeGreaterThanOrEqual(2);
    const gapsMs = begunAtMs.slice(1).map((atMs, i) => atMs - (begunAtMs[i] ?? 0));
    // An interval is served for nine tenths of it, less what the taking of a turn takes.
    expect(Math.min(...gapsMs)).toBeGreaterThan(0.5 * intervalMs);
    const outcomes = replicas.flatMap(({ reports }) => reports.slice(1).map(({ outcome }) => outcome));
    expect(new Set(outcomes)).toEqual(new Set(['success', 'skipped']));
  });

  test('told to run while another replica runs says so, and when to ask again', async () => {
    const slow = slowWork();
    const busy = make(slow.work);
    const asked = make(() => Promise.resolve({ done: 1 }));
    busy.loop.start();
    await slow.begun;
    await expect(asked.loop.runNow({ word: 'now' }, context())).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      retryAfterSeconds: 30,
    });
    await expect(busy.loop.runNow({ word: 'now' }, context())).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
    });
    expect(asked.reports).toEqual([]);
    slow.finish();
    await until(() => busy.reports.length === 1, { what: 'the run has ended' });
    expect(await asked.loop.runNow({ word: 'now' }, context())).toMatchObject({ counts: { done: 1 } });
  });

  test('told to run does so though the interval is served, with the options it is given', async () => {
    const words: string[] = [];
    const { loop, reports } = make(({ word }, _context, onProgress) => {
      words.push(word);
      onProgress();
      return Promise.resolve({ done: words.length });
    });
    loop.start();
    await until(() => reports.length === 1, { what: 'the first run' });
    let progress = 0;
    const answer = await loop.runNow({ word: 'now' }, context('admin'), () => progress++);
    expect(answer).toEqual({ counts: { done: 2 }, durationMs: expect.any(Number) });
    expect(words).toEqual(['loop', 'now']);
    expect(progress).toBe(1);
    expect(reports.map(({ outcome }) => outcome)).toEqual(['success', 'success']);
  });

  test('tells the provider being out of reach apart from everything else', async () => {
    const errors = [
      new ProviderError('rate_limited', 'later', { retryAfterMs: 90_000 }),
      new ProviderError('server_error', 'broken'),
      new TypeError('a bug'),
    ];
    const { loop, reports } = make(() => Promise.reject(errors.shift()));
    await expect(loop.runNow({ word: 'now' }, context())).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      retryAfterSeconds: 90,
    });
    await expect(loop.runNow({ word: 'now' }, context())).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      retryAfterSeconds: 30,
    });
    await expect(loop.runNow({ word: 'now' }, context())).rejects.toThrow(TypeError);
    expect(reports.map(({ outcome }) => outcome)).toEqual(['error', 'error', 'error']);
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

  test('leaves the interval to any replica after a failure', async () => {
    const failing = make(() => Promise.reject(new Error('broken')));
    await expect(failing.loop.runNow({ word: 'now' }, context())).rejects.toThrow('broken');
    expect(await otherTurns().take(NAME, { ttlMs: 1, onlyIfDue: true })).toHaveProperty('turn.fence', 2);
  });

  test('goes on when the store was out of reach', async () => {
    const faults = injectFaults(client);
    const { loop, reports, alerts } = make(() => Promise.resolve({ done: 1 }), { intervalMs: 20 });
    faults.next('UpdateItem', failWith(timedOut), { times: 4 });
    loop.start();
    await until(() => reports.some(({ outcome }) => outcome === 'success'), {
      what: 'it has recovered',
    });
    expect(reports[0]).toMatchObject({ outcome: 'error', error: { code: 'STORE_UNAVAILABLE' } });
    expect(alerts).toMatchObject([{ reason: 'run_failed' }]);
  });

  test('keeps its turn for as long as a run lasts', async () => {
    const faults = injectFaults(client);
    const slow = slowWork();
    const { loop, reports } = make(slow.work, { turnTtlMs: 150 });
    loop.start();
    const signal = await slow.begun;
    const renewals = () => faults.calls.filter(({ json }) => json.includes('SET until_ms')).length;
    await until(() => renewals() >= 6, { what: 'twice the time of a turn has passed' });
    expect(await otherTurns().take(NAME, takeAway)).toMatchObject({ turn: undefined });
    expect(signal.aborted).toBe(false);
    slow.finish();
    await until(() => reports.length === 1, { what: 'the run has ended' });
    expect(reports).toMatchObject([{ outcome: 'success' }]);
  });

  test('keeps its turn when a renewal fails, or its answer is lost', async () => {
    const faults = injectFaults(client);
    const slow = slowWork();
    const { loop } = make(slow.work, { turnTtlMs: 3_000 });
    loop.start();
    const signal = await slow.begun;
    faults.next('UpdateItem', failWith(timedOut), { times: 4 });
    faults.next('UpdateItem', loseAnswer);
    await until(() => faults.left === 0, { what: 'one renewal failed, the next was lost' });
    expect(signal.aborted).toBe(false);
    expect(await otherTurns().take(NAME, takeAway)).toMatchObject({ turn: undefined });
    slow.finish();
  });

  test('ends a run whose turn was lost, and says whose it is now', async () => {
    const ahead = { nowMs: () => systemClock.nowMs() + AN_HOUR_MS };
    const slow = slowWork();
    const { loop, reports } = make(slow.work, { turnTtlMs: 90 });
    const asked = loop.runNow({ word: 'now' }, context());
    asked.catch(() => undefined);
    const signal = await slow.begun;
    expect(await otherTurns(ahead).take(NAME, takeAway)).toHaveProperty('turn.fence', 2);
    await expect(asked).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    expect(signal.reason).toEqual(new Error('the turn of sync was lost'));
    expect(reports).toEqual([]);
    // The turn is the other's still.
    expect(await loop.runNow({ word: 'now' }, context()).catch((error) => error)).toMatchObject({
      code: 'ALREADY_RUNNING',
    });
  });

  test('stops: tells the run under way, awaits its end, and gives the turn up', async () => {
    const events: string[] = [];
    const { loop, reports, alerts } = make(async (_options, { signal }) => {
      events.push('begun');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await new Promise(setImmediate);
      events.push('step ended');
      return { done: 1 };
    });
    loop.start();
    await until(() => events.length > 0, { what: 'the run is under way' });
    await Promise.all([loop.stop(), loop.stop()]);
    expect(events).toEqual(['begun', 'step ended']);
    expect(reports).toMatchObject([{ outcome: 'success' }]);
    expect(await otherTurns().take(NAME, takeAway)).toHaveProperty('turn.fence', 2);
    expect(alerts).toEqual([]);
  });

  test('stops a run that was asked for, too, and keeps the failure that comes of it to itself', async () => {
    const slow = slowWork();
    const { loop, reports, alerts } = make(slow.work);
    const asked = loop.runNow({ word: 'now' }, context());
    asked.catch(() => undefined);
    await slow.begun;
    await loop.stop();
    await expect(asked).rejects.toThrow('the broker is shutting down');
    expect(reports).toEqual([]);
    expect(alerts).toEqual([]);
    expect(await otherTurns().take(NAME, takeAway)).toHaveProperty('turn.fence', 2);
  });

  test('ends a run that was asked for when its caller is gone', async () => {
    const slow = slowWork();
    const { loop } = make(slow.work);
    const caller = new AbortController();
    const asked = loop.runNow({ word: 'now' }, { ...context(), signal: caller.signal });
    asked.catch(() => undefined);
    await slow.begun;
    caller.abort(new Error('the caller is gone'));
    await expect(asked).rejects.toThrow('the caller is gone');
  });

  test('is started once, stops at once while it rests, and can be started again', async () => {
    const { loop, reports, heartbeat } = make(() => Promise.resolve({}));
    await loop.stop();
    loop.start();
    loop.start();
    await until(() => reports.length === 1, { what: 'the first run' });
    expect(heartbeat.isRunning).toBe(true);
    await loop.stop();
    expect(heartbeat.isRunning).toBe(false);
    expect(reports).toHaveLength(1);
    loop.start();
    await until(() => reports.length === 2, { what: 'the run of the second start' });
  });

  test('gives the turn up later when the store could not be told at the end of a run', async () => {
    const faults = injectFaults(client);
    const { loop } = make(() => Promise.resolve({ done: 1 }));
    faults.next('UpdateItem', failWith(timedOut), {
      times: 4,
      matching: ({ json }) => json.includes('REMOVE holder'),
    });
    await loop.runNow({ word: 'now' }, context());
    expect(faults.left).toBe(0);
    expect(await loop.runNow({ word: 'now' }, context())).toMatchObject({ counts: { done: 1 } });
    expect(await otherTurns().take(NAME, takeAway)).toHaveProperty('turn.fence', 3);
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

  test('tells whoever asked for a run of its steps, too', async () => {
    const { loop, heartbeat } = make((_options, _context, onProgress) => {
      for (let step = 0; step < 10; step++) onProgress();
      return Promise.resolve({});
    });
    let steps = 0;
    await loop.runNow({ word: 'now' }, context(), () => steps++);
    expect(steps).toBe(10);
    expect(heartbeat.totalBeats).toBeGreaterThanOrEqual(12);
  });

  test.for([0, -1, Number.NaN])('is not made with an interval of %d', (intervalMs) => {
    expect(() => make(() => Promise.resolve({}), { intervalMs })).toThrow(RangeError);
  });
});
