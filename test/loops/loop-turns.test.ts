import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { context } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { failWith, holdAnswers, loseAnswer, timedOut } from '../support/store/injected-faults.ts';
import { until } from '../support/until.ts';
import { AN_HOUR_MS, loopsOn, NAME, slowWork, takeAway } from './loop-steps.ts';

describeOnFastEngine('a loop', ({ endpoint }) => {
  const { make, otherTurns, injectFaults } = loopsOn(endpoint);

  test('never has two runs at once, over two replicas that tick and are told to run', async () => {
    let under = 0;
    let most = 0;
    let runs = 0;
    const work = async () => {
      most = Math.max(most, ++under);
      // A way to the store and back.
      await otherTurns().take('another loop', { ttlMs: 1_000, onlyIfDue: false });
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

  test('serves the interval from the moment its turn is granted, however long that took', async () => {
    let nowMs = systemClock.nowMs();
    const clock = { nowMs: () => nowMs };
    const held = holdAnswers();
    injectFaults().next('UpdateItem', held.fault);
    const { loop, reports } = make(async () => ({}), { clock, intervalMs: 60_000 });
    loop.start();
    await until(() => held.waiting === 1, { what: 'the turn is taken, and the answer is on its way' });
    nowMs += 57_000;
    held.release();
    await until(() => reports.length === 1, { what: 'the run is over' });
    const takeIfDue = () => otherTurns(clock).take(NAME, { ttlMs: 30_000, onlyIfDue: true });
    nowMs += 53_000;
    expect((await takeIfDue()).turn).toBeUndefined();
    nowMs += 2_000;
    expect((await takeIfDue()).turn).toBeDefined();
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

  test('leaves the interval to any replica after a failure', async () => {
    const failing = make(() => Promise.reject(new Error('broken')));
    await expect(failing.loop.runNow({ word: 'now' }, context())).rejects.toThrow('broken');
    expect(await otherTurns().take(NAME, { ttlMs: 1, onlyIfDue: true })).toHaveProperty('turn.fence', 2);
  });

  test('keeps its turn for as long as a run lasts', async () => {
    const faults = injectFaults();
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
    const faults = injectFaults();
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
    expect(reports).toMatchObject([{ outcome: 'aborted' }]);
    // The turn is the other's still.
    expect(await loop.runNow({ word: 'now' }, context()).catch((error) => error)).toMatchObject({
      code: 'ALREADY_RUNNING',
    });
  });

  test('gives the turn up later when the store could not be told at the end of a run', async () => {
    const faults = injectFaults();
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
});
