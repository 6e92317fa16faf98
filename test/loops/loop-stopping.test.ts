import { expect, test } from 'vitest';
import { context } from '../support/core.ts';
import { describeOnFastEngine } from '../support/engines.ts';
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
