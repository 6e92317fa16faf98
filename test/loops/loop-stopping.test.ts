import { expect, test } from 'vitest';
import { shuttingDown } from '../../src/domain/errors.ts';
import { context } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';
import { loopsOn, NAME, slowWork, takeAway } from './loop-steps.ts';

describeOnFastEngine('a loop', ({ endpoint }) => {
  const { make, otherTurns } = loopsOn(endpoint);

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
    expect(reports).toMatchObject([{ outcome: 'aborted', counts: { done: 1 } }]);
    // The interval is not served: another replica goes on with it at once.
    const due = await otherTurns().take(NAME, { ...takeAway, onlyIfDue: true });
    expect(due).toHaveProperty('turn.fence', 2);
    expect(alerts).toEqual([]);
  });

  test('stops a run that was asked for, too, and keeps the failure that comes of it to itself', async () => {
    const slow = slowWork();
    const { loop, reports, alerts } = make(slow.work);
    const asked = loop.runNow({ word: 'now' }, context());
    asked.catch(() => undefined);
    await slow.begun;
    await loop.stop();
    await expect(asked).rejects.toMatchObject({ code: 'SHUTTING_DOWN', retryAfterSeconds: 1 });
    expect(reports).toMatchObject([{ outcome: 'aborted' }]);
    expect(alerts).toEqual([]);
    expect(await otherTurns().take(NAME, takeAway)).toHaveProperty('turn.fence', 2);
  });

  test('sends whoever asks while it stops to another replica, though a run is under way', async () => {
    const slow = slowWork();
    const { loop } = make(slow.work);
    loop.start();
    await slow.begun;
    const stopped = loop.stop();
    await expect(loop.runNow({ word: 'now' }, context())).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await stopped;
  });

  test('tells whoever asked for the run what it had done by then', async () => {
    const begun = Promise.withResolvers<void>();
    const { loop } = make(async (_options, { signal }) => {
      begun.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return { done: 3 };
    });
    const asked = loop.runNow({ word: 'now' }, context());
    await begun.promise;
    await loop.stop();
    expect(await asked).toMatchObject({ counts: { done: 3 }, aborted: true });
  });

  test('leaves work that hangs at the cut-off, and gives the turn up all the same', async () => {
    const cutOff = new AbortController();
    const begun = Promise.withResolvers<void>();
    const hangs = async () => {
      begun.resolve();
      return new Promise<never>(() => undefined);
    };
    const { loop, reports, alerts } = make(hangs, { cutOff: cutOff.signal });
    const asked = loop.runNow({ word: 'now' }, context());
    asked.catch(() => undefined);
    await begun.promise;
    const stopped = loop.stop();
    cutOff.abort(shuttingDown());
    await stopped;
    await expect(asked).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(reports).toMatchObject([{ outcome: 'aborted' }]);
    expect(alerts).toEqual([]);
    expect(await otherTurns().take(NAME, takeAway)).toHaveProperty('turn.fence', 2);
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
});
