import { expect, test } from 'vitest';
import { ProviderError } from '../../src/provider/provider.ts';
import { context } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';
import { loopsOn, slowWork } from './loop-steps.ts';

describeOnFastEngine('a loop', ({ endpoint }) => {
  const { make } = loopsOn(endpoint);

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
    const { loop, reports, alerts } = make(() => Promise.reject(errors.shift()));
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
    // As the loop's own runs do, each once.
    expect(alerts.map(({ task, reason }) => `${task} ${reason}`)).toEqual(Array(3).fill('sync run_failed'));
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
});
