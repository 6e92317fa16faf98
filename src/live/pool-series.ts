import type { Clock } from '../clock.ts';
import type { PoolStatus } from '../domain/sandbox.ts';
import type { AllocationOutcome } from '../telemetry/metric-labels.ts';
import { createLatencySketch, type LatencySketch, percentileMs } from './latency-sketch.ts';

/** The pool and what was leased, at one moment of the past. */
export interface PoolSample {
  /** Epoch milliseconds of the end of the stretch that the sample is about. */
  atMs: number;
  /** The last known counts; absent before the first count. */
  counts?: Readonly<Record<PoolStatus, number>> | undefined;
  /** New leases per minute, by this replica. */
  leasesPerMinute: number;
  /** Callers that this replica turned away without a sandbox, per minute. */
  refusalsPerMinute: number;
  /** Of this replica's answers to allocations; absent where there was none. */
  p95Ms?: number | undefined;
}

/** The last hours in memory: what a chart needs, for as long as this process lives. */
export interface PoolSeries {
  /** An allocation was answered. */
  allocation(outcome: AllocationOutcome, seconds: number): void;
  /** Ends the stretch since the last sample. */
  sample(counts: PoolSample['counts']): void;
  /** The oldest first. */
  samples(): readonly PoolSample[];
  /** The most leases a second of any stretch that is kept. */
  peakPerSecond(): number;
  /** Of the last five minutes, the stretch that has not ended included. */
  recent(): { leasesPerMinute: number; refusalsPerMinute: number; p95Ms?: number | undefined };
  /** Epoch milliseconds from which on there may be samples. */
  readonly sinceMs: number;
  readonly capacity: number;
}

export interface PoolSeriesOptions {
  clock: Clock;
  /** Samples that are kept, >= 1; older ones go. */
  capacity: number;
}

const RECENT_MS = 300_000;
const PERCENTILE = 0.95;
const MINUTE_MS = 60_000;

/** A key that was used for something else is its caller's mistake, and a client that went away was not turned away. */
const REFUSALS: ReadonlySet<AllocationOutcome> = new Set(['no_sandboxes', 'busy', 'error']);

interface Stretch {
  fromMs: number;
  leases: number;
  /** Callers who were turned away without a sandbox, whatever the reason. */
  refusals: number;
  latencies: LatencySketch;
}

/** Throws `RangeError` for a capacity below 1. */
export function createPoolSeries({ clock, capacity }: PoolSeriesOptions): PoolSeries {
  if (!(capacity >= 1)) throw new RangeError(`capacity must be >= 1, not ${capacity}`);
  const sinceMs = clock.nowMs();
  const samples: PoolSample[] = [];
  const begin = (): Stretch => ({
    fromMs: clock.nowMs(),
    leases: 0,
    refusals: 0,
    latencies: createLatencySketch(),
  });
  let current = begin();
  /** With their durations, for as long as they count as recent. */
  let recent: Stretch[] = [];

  const perMinute = (leases: number, fromMs: number, atLeastMs: number): number =>
    (leases * MINUTE_MS) / Math.max(atLeastMs, clock.nowMs() - fromMs);

  return {
    sinceMs,
    capacity,
    allocation(outcome, seconds) {
      if (outcome === 'success') current.leases++;
      if (REFUSALS.has(outcome)) current.refusals++;
      current.latencies.add(seconds);
    },
    sample(counts) {
      samples.push({
        atMs: clock.nowMs(),
        counts,
        leasesPerMinute: perMinute(current.leases, current.fromMs, 1_000),
        refusalsPerMinute: perMinute(current.refusals, current.fromMs, 1_000),
        p95Ms: percentileMs([current.latencies], PERCENTILE),
      });
      if (samples.length > capacity) samples.shift();
      recent = [...recent, current].filter(({ fromMs }) => fromMs > clock.nowMs() - RECENT_MS);
      current = begin();
    },
    samples: () => samples,
    peakPerSecond: () =>
      samples.reduce((most, { leasesPerMinute }) => Math.max(most, leasesPerMinute), 0) / 60,
    recent() {
      const stretches = [...recent, current].filter(({ fromMs }) => fromMs > clock.nowMs() - RECENT_MS);
      const fromMs = stretches[0]?.fromMs ?? clock.nowMs() - RECENT_MS;
      // A few right after the start are no reason to speak of hundreds per minute.
      const rateOf = (what: 'leases' | 'refusals') =>
        perMinute(
          stretches.reduce((sum, stretch) => sum + stretch[what], 0),
          fromMs,
          MINUTE_MS,
        );
      return {
        leasesPerMinute: rateOf('leases'),
        refusalsPerMinute: rateOf('refusals'),
        p95Ms: percentileMs(
          stretches.map(({ latencies }) => latencies),
          PERCENTILE,
        ),
      };
    },
  };
}
