import { describe, expect, test } from 'vitest';
import { MAX_ATTEMPTS, MAX_WINDOW_MS, windowAnomalies } from '../../../src/domain/resilience/retry-window.ts';
import { ProviderError } from '../../../src/provider/provider.ts';
import { attemptsBucket, createRetryHistogram } from '../../../src/safety/retry/histogram.ts';
import { createRetryLog, errorWord } from '../../../src/safety/retry/log.ts';
import { createRetryRate } from '../../../src/safety/retry/rate.ts';
import { createSpikeDetector } from '../../../src/safety/retry/spikes.ts';

const NOW = Date.UTC(2030, 0, 1);

describe('the histogram of attempts', () => {
  test.each([
    [1, '1'],
    [2, '2'],
    [3, '3'],
    [4, '4-5'],
    [5, '4-5'],
    [6, '6-10'],
    [10, '6-10'],
    [11, '11-20'],
    [20, '11-20'],
    [21, '21+'],
    [1_000_000, '21+'],
  ])('%d belongs to %s', (attempts, bucket) => {
    expect(attemptsBucket(attempts)).toBe(bucket);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('%d is an error', (attempts) => {
    expect(() => attemptsBucket(attempts)).toThrow(RangeError);
  });

  test('counts, and shows the empty buckets, too', () => {
    const histogram = createRetryHistogram();
    for (const attempts of [1, 1, 4, 5, 30]) histogram.count(attempts);
    expect(histogram.counts()).toEqual({
      '1': 2,
      '2': 0,
      '3': 0,
      '4-5': 2,
      '6-10': 0,
      '11-20': 0,
      '21+': 1,
    });
  });
});

describe('the log of attempts', () => {
  test('keeps each task apart, the one tried last first', () => {
    const log = createRetryLog();
    log.add('a', { atMs: 1, attempt: 1, outcome: 'timeout', waitMs: 1_000 });
    log.add('b', { atMs: 2, attempt: 1, outcome: 'success' });
    log.add('a', { atMs: 3, attempt: 2, outcome: 'success' });
    expect(log.tasks().map(({ task, attempts }) => [task, attempts.length])).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
    expect(log.tasks('b')).toHaveLength(1);
  });

  test('does not grow without bound', () => {
    const log = createRetryLog({ tasks: 3, attempts: 2 });
    for (let i = 0; i < 100; i++) {
      for (let attempt = 1; attempt <= 9; attempt++) log.add(`t${i}`, { atMs: i, attempt, outcome: 'x' });
    }
    expect(log.tasks().map(({ task }) => task)).toEqual(['t99', 't98', 't97']);
    expect(log.tasks()[0]?.attempts.map(({ attempt }) => attempt)).toEqual([8, 9]);
  });

  test.each<[unknown, string]>([
    [new ProviderError('timeout', 'secret text'), 'timeout'],
    [Object.assign(new Error('secret text'), { code: 'ECONNRESET' }), 'ECONNRESET'],
    [new RangeError('secret text'), 'RangeError'],
    ['secret text', 'unknown'],
  ])('names an error by a word, never by its text', (error, word) => {
    expect(errorWord(error)).toBe(word);
  });
});

describe('a task is an anomaly', () => {
  const window = { task: 't', firstAttemptAtMs: NOW, lastAttemptAtMs: NOW, attempts: 1 };
  test('after more than an hour, and not after an hour', () => {
    expect(MAX_WINDOW_MS).toBe(3_600_000);
    expect(windowAnomalies(window, NOW + 3_600_000)).toEqual([]);
    expect(windowAnomalies(window, NOW + 3_600_001)).toEqual(['window']);
  });

  test('after more than ten attempts, and not after ten', () => {
    expect(MAX_ATTEMPTS).toBe(10);
    expect(windowAnomalies({ ...window, attempts: 10 }, NOW)).toEqual([]);
    expect(windowAnomalies({ ...window, attempts: 11 }, NOW)).toEqual(['attempts']);
  });

  test('by what it was at its end, however long ago that is', () => {
    const ended = { ...window, result: 'success' as const, endedAtMs: NOW + 1_000 };
    expect(windowAnomalies(ended, NOW + 86_400_000)).toEqual([]);
  });
});

describe('the retry rate', () => {
  const HOUR_MS = 3_600_000;
  /** The edges that these jobs raise, all at one time. */
  const edges = (jobs: boolean[], rate = createRetryRate({ windowMs: HOUR_MS }), nowMs = NOW) =>
    jobs.filter((retried) => rate.ended(retried, nowMs)).length;
  const jobs = (retried: number, fine: number) => [
    ...Array<boolean>(fine).fill(false),
    ...Array<boolean>(retried).fill(true),
  ];

  test('is no anomaly with ten jobs, and one with eleven', () => {
    expect(edges(jobs(10, 0))).toBe(0);
    expect(edges(jobs(11, 0))).toBe(1);
  });

  test('is no anomaly at one half, and one above', () => {
    expect(edges(jobs(10, 10))).toBe(0);
    expect(edges(jobs(11, 10))).toBe(1);
  });

  test('raises an alert on the edge, not again and again', () => {
    const rate = createRetryRate({ windowMs: HOUR_MS });
    expect(edges(jobs(100, 0), rate)).toBe(1);
    expect(edges(jobs(0, 200), rate)).toBe(0);
    expect(rate.report(NOW)).toMatchObject({ jobs: 300, retried: 100, isAnomalous: false });
    expect(edges(jobs(200, 0), rate)).toBe(1);
  });

  test('rolls: what is older than the window counts no more', () => {
    const rate = createRetryRate({ windowMs: HOUR_MS });
    edges(jobs(11, 0), rate);
    expect(rate.report(NOW + HOUR_MS - 1)).toMatchObject({ jobs: 11, rate: 1, isAnomalous: true });
    expect(rate.report(NOW + HOUR_MS)).toEqual({ jobs: 0, retried: 0, rate: 0, isAnomalous: false });
  });

  test('remembers a bounded number of jobs', () => {
    const rate = createRetryRate({ windowMs: HOUR_MS });
    edges(jobs(0, 5_000), rate);
    expect(rate.report(NOW).jobs).toBe(1_000);
  });
});

describe('the spike detector', () => {
  const WINDOW_MS = 300_000;
  const OPTIONS = { windowMs: WINDOW_MS, cooldownMs: 900_000, startMs: NOW };

  /** Spreads so many retries over each window in turn; gives the windows, from 0 on, in which a spike was told. */
  function spikesOf(windows: number[], detector = createSpikeDetector(OPTIONS)): number[] {
    return windows.flatMap((retries, index) => {
      const startMs = NOW + index * WINDOW_MS;
      return Array.from({ length: retries }, (_, i) => startMs + (i * WINDOW_MS) / retries)
        .filter((atMs) => detector.retried(atMs) !== undefined)
        .map(() => index);
    });
  }

  test.each([1, 10, 100, 1_000])('steady load never alerts: %d in each window', (retries) => {
    expect(spikesOf(Array<number>(100).fill(retries))).toEqual([]);
  });

  test('nor does load that wavers by half', () => {
    expect(spikesOf(Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 20 : 40)))).toEqual([]);
  });

  test('a tenfold burst alerts, once', () => {
    expect(spikesOf([20, 20, 20, 20, 200, 20])).toEqual([4]);
  });

  test('needs three completed windows', () => {
    expect(spikesOf([20, 20, 200])).toEqual([]);
    expect(spikesOf([20, 20, 20, 200])).toEqual([3]);
  });

  test('needs ten retries', () => {
    expect(spikesOf([0, 0, 0, 9])).toEqual([]);
    expect(spikesOf([0, 0, 0, 10])).toEqual([3]);
  });

  test('needs more than three times the mean', () => {
    expect(spikesOf([10, 20, 30, 60])).toEqual([]);
    expect(spikesOf([10, 20, 30, 61])).toEqual([3]);
  });

  test('the windows in which nothing happened count, too', () => {
    const detector = createSpikeDetector(OPTIONS);
    for (let i = 0; i < 10; i++) expect(detector.retried(NOW + 7 * WINDOW_MS) !== undefined).toBe(i === 9);
    expect(detector.report(NOW + 7 * WINDOW_MS)).toMatchObject({ completedWindows: 7, mean: 0, retries: 10 });
  });

  test('cools down before it tells of the next one', () => {
    // The cooldown is three windows: 5 and 6 are in it, 8 is not.
    expect(spikesOf([1, 1, 1, 1, 50, 500, 5_000, 1, 50_000])).toEqual([4, 8]);
  });

  test('the usual is that of the last hour, not of all times', () => {
    const detector = createSpikeDetector(OPTIONS);
    spikesOf([5_000, ...Array<number>(12).fill(10), 40], detector);
    expect(detector.report(NOW + 13 * WINDOW_MS)).toMatchObject({ completedWindows: 12, mean: 10 });
  });

  test('a clock that is set back completes no window', () => {
    const detector = createSpikeDetector(OPTIONS);
    detector.retried(NOW + WINDOW_MS);
    detector.retried(NOW);
    expect(detector.report(NOW)).toMatchObject({ completedWindows: 1, retries: 2 });
  });

  test.each([{ windowMs: 0 }, { cooldownMs: -1 }])('%o cannot be meant', (bad) => {
    expect(() => createSpikeDetector({ ...OPTIONS, ...bad })).toThrow(RangeError);
  });
});
