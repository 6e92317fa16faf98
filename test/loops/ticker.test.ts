import { describe, expect, onTestFinished, test } from 'vitest';
import { createTicker, type Ticker } from '../../src/loops/ticker.ts';
import { until } from '../support/until.ts';

describe('a ticker', () => {
  function make(chore: (signal: AbortSignal) => Promise<void>, intervalMs = 5) {
    const errors: unknown[] = [];
    const ticker: Ticker = createTicker(intervalMs, chore, (error) => errors.push(error));
    onTestFinished(() => ticker.stop());
    return { ticker, errors };
  }

  test('does its chore over and over, the first time after one interval, never two at once', async () => {
    let under = 0;
    let most = 0;
    let done = 0;
    const startedMs = performance.now();
    let firstMs = 0;
    const { ticker, errors } = make(async () => {
      if (done === 0) firstMs = performance.now() - startedMs;
      most = Math.max(most, ++under);
      await new Promise(setImmediate);
      under--;
      done++;
    }, 20);
    ticker.start();
    ticker.start();
    await until(() => done >= 5, { what: 'the chore was done five times' });
    expect(most).toBe(1);
    // Timers may fire up to a millisecond early.
    expect(firstMs).toBeGreaterThanOrEqual(19);
    expect(errors).toEqual([]);
  });

  test('tells of a chore that fails, and goes on', async () => {
    let runs = 0;
    const { ticker, errors } = make(() => {
      runs++;
      return runs < 3 ? Promise.reject(new Error(`run ${runs}`)) : Promise.resolve();
    });
    ticker.start();
    await until(() => runs >= 4, { what: 'it went on after two failures' });
    expect(errors).toEqual([new Error('run 1'), new Error('run 2')]);
  });

  test('stops: tells the chore under way, awaits its end, and keeps the failure that comes of it to itself', async () => {
    const events: string[] = [];
    const { ticker, errors } = make(async (signal) => {
      events.push('begun');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await new Promise(setImmediate);
      events.push('ended');
      throw signal.reason;
    });
    ticker.start();
    await until(() => events.length > 0, { what: 'the chore is under way' });
    await Promise.all([ticker.stop(), ticker.stop()]);
    expect(events).toEqual(['begun', 'ended']);
    expect(errors).toEqual([]);
  });

  test('stops at once while it waits, and can be started again', async () => {
    let runs = 0;
    const { ticker } = make(async () => {
      runs++;
    }, 60_000);
    await ticker.stop();
    ticker.start();
    await ticker.stop();
    expect(runs).toBe(0);
    const quick = make(async () => {
      runs++;
    }).ticker;
    quick.start();
    await quick.stop();
    quick.start();
    await until(() => runs > 0, { what: 'it ticks again' });
  });
});
