import { expect, it } from 'vitest';
import { createLatencySketch, percentileMs } from '../../src/live/latency-sketch.ts';
import { createPoolSeries } from '../../src/live/pool-series.ts';
import { ALLOCATION_OUTCOMES } from '../../src/telemetry/metric-labels.ts';
import { createFakeClock } from '../support/broker/core.ts';

const COUNTS = {
  available: 5,
  allocated: 4,
  pending_deletion: 3,
  deletion_failed: 2,
  stale: 1,
  cooling: 0,
  quarantined: 0,
};

it('tells how many sandboxes were leased per minute, and how fast, in each stretch', () => {
  const clock = createFakeClock();
  const series = createPoolSeries({ clock, capacity: 10 });
  for (let lease = 0; lease < 5; lease++) series.allocation('success', 0.02);
  series.allocation('no_sandboxes', 0.02);
  clock.advanceSeconds(15);
  series.sample(COUNTS);
  clock.advanceSeconds(15);
  series.sample(undefined);

  const [busy, quiet] = series.samples();
  expect(busy).toMatchObject({ counts: COUNTS, leasesPerMinute: 20, refusalsPerMinute: 4 });
  expect(busy?.p95Ms).toBeGreaterThan(19);
  expect(busy?.p95Ms).toBeLessThan(21);
  expect(quiet).toEqual({
    atMs: clock.nowMs(),
    counts: undefined,
    leasesPerMinute: 0,
    refusalsPerMinute: 0,
    p95Ms: undefined,
  });
});

it('tells how many callers were turned away per minute, and counts nobody else', () => {
  const clock = createFakeClock();
  const series = createPoolSeries({ clock, capacity: 10 });
  for (const outcome of ALLOCATION_OUTCOMES) series.allocation(outcome, 0.02);
  clock.advanceSeconds(120);
  expect(series.recent()).toMatchObject({ leasesPerMinute: 0.5, refusalsPerMinute: 1.5 });
});

it('keeps so many samples and no more', () => {
  const clock = createFakeClock();
  const series = createPoolSeries({ clock, capacity: 3 });
  for (let sample = 0; sample < 5; sample++) {
    clock.advanceSeconds(15);
    series.sample(COUNTS);
  }
  const startMs = series.sinceMs;
  expect(series.samples().map(({ atMs }) => (atMs - startMs) / 1000)).toEqual([45, 60, 75]);
  expect(() => createPoolSeries({ clock, capacity: 0 })).toThrow(RangeError);
});

it('forgets after five minutes what is no longer recent', () => {
  const clock = createFakeClock();
  const series = createPoolSeries({ clock, capacity: 100 });
  series.allocation('success', 1);
  const pass = (seconds: number) => {
    for (let passed = 0; passed < seconds; passed += 15) {
      clock.advanceSeconds(15);
      series.sample(COUNTS);
    }
  };
  pass(240);
  expect(series.recent().leasesPerMinute).toBeCloseTo(1 / 4);
  expect(series.recent().p95Ms).toBeGreaterThan(950);
  pass(60);
  expect(series.recent()).toEqual({ leasesPerMinute: 0, refusalsPerMinute: 0, p95Ms: undefined });
});

it.each([
  [[], undefined],
  [[3], 3],
  [Array.from({ length: 100 }, (_, index) => index + 1), 95],
  [[...Array<number>(94).fill(5), ...Array<number>(6).fill(800)], 800],
  [[...Array<number>(96).fill(5), ...Array<number>(4).fill(800)], 5],
])('finds the 95th percentile to within 5 %: %j', (milliseconds, expected) => {
  // However they are spread over the stretches.
  const sketches = [createLatencySketch(), createLatencySketch()] as const;
  for (const [index, ms] of milliseconds.entries()) sketches[index % 2 === 0 ? 0 : 1].add(ms / 1000);
  const found = percentileMs(sketches, 0.95);
  if (expected === undefined) expect(found).toBeUndefined();
  else expect(Math.abs((found ?? 0) - expected) / expected).toBeLessThan(0.051);
});

it('needs no more memory for a million durations than for a thousand kinds of them', () => {
  const sketch = createLatencySketch();
  for (let index = 0; index < 20_000; index++) sketch.add(index % 7 === 0 ? 0 : 1.3 ** (index % 90) / 1e5);
  expect(sketch.count).toBe(20_000);
  expect(sketch.classes.size).toBeLessThan(172);
});
