import { describe, expect, test } from 'vitest';
import { createLifecycle } from '../../src/live/lifecycle.ts';

function lifecycleWithLog(cutOffMs = 60_000) {
  const log: string[] = [];
  const lifecycle = createLifecycle({
    cutOffMs,
    onFailure: (step, error) => log.push(`${step} failed: ${error}`),
  });
  const part = (name: string, stop: () => Promise<unknown> = async () => undefined) =>
    lifecycle.up(name, () => {
      log.push(name);
      return stop();
    });
  return { lifecycle, log, part };
}

describe('what is brought up', () => {
  test('goes down in the opposite order, once, and past a part that fails to go', async () => {
    const { lifecycle, log, part } = lifecycleWithLog();
    await lifecycle.start(async () => {
      part('engine');
      part('store', () => Promise.reject('stuck'));
      part('loops');
    });
    expect(lifecycle.stopping.aborted).toBe(false);
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    expect(log).toEqual(['loops', 'store', 'store failed: stuck', 'engine']);
  });

  test('goes down as far as it came where the start fails, and the failure is told', async () => {
    const { lifecycle, log, part } = lifecycleWithLog();
    const started = lifecycle.start(async () => {
      part('engine');
      throw new Error('no table');
    });
    await expect(started).rejects.toThrow('no table');
    await lifecycle.stop();
    expect(log).toEqual(['engine']);
  });

  test('is waited for when the stop comes in the middle: that part goes down, and the next never comes up', async () => {
    const { lifecycle, log, part } = lifecycleWithLog();
    const slow = Promise.withResolvers<void>();
    const started = lifecycle.start(async () => {
      part('engine');
      await slow.promise;
      part('store');
      part('loops');
    });
    started.catch(() => undefined);
    const stopped = lifecycle.stop();
    expect(lifecycle.stopping.aborted).toBe(true);
    expect(lifecycle.step()).toBe('end the start');
    slow.resolve();
    await stopped;
    await expect(started).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(log).toEqual(['store', 'engine']);
    expect(lifecycle.step()).toBeUndefined();
    await expect(lifecycle.start(async () => part('late'))).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
  });
});
