import type { Clock } from '../../clock.ts';
import type { Forecast } from '../../domain/line.ts';
import type { Change } from '../../store/sandboxes/changes.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import { everywhere } from '../everywhere.ts';

/** What is known of sandboxes to come is read so often at most, and so many of each bucket. */
const EVERY_MS = 60_000;
const PER_BUCKET = 100;
/** Assumed until a cleanup was seen. */
const USUAL_CLEANUP_MS = 60_000;
/** The part that a newly seen duration has in what is usual. */
const NEW_PART = 0.2;

export interface ForecastDeps {
  reads: Pick<SandboxReads, 'buckets' | 'due'>;
  clock: Clock;
  /** Leases that run out are looked for so often, and cleanups begin so often, milliseconds. */
  expiryIntervalMs: number;
  cleanupIntervalMs: number;
}

/** When sandboxes are expected to be free again: leases at their end, and those that wait for a cleanup. */
export interface SandboxForecast {
  /** From memory, where it was read lately. */
  coming(): Promise<Pick<Forecast, 'comingMs'>>;
  /** A sandbox has become free: how long after it was given back is what is usual. */
  noteFreed(change: Pick<Change, 'seen' | 'next'>): void;
}

/**
 * Of a lease nobody knows whether it is given back before its end, so that its end is the latest: a sandbox comes back
 * when it has run out, was looked for, and cleaned.
 */
export function createForecast(deps: ForecastDeps): SandboxForecast {
  const { reads, clock } = deps;
  let usualMs = USUAL_CLEANUP_MS + deps.cleanupIntervalMs / 2;
  let known: { comingMs: number[]; atMs: number } | undefined;
  let reading: Promise<number[]> | undefined;

  async function read(): Promise<number[]> {
    const horizonMs = clock.nowMs() + HORIZON_MS;
    const cleaningMs = deps.expiryIntervalMs + deps.cleanupIntervalMs + USUAL_CLEANUP_MS;
    const coming: number[] = [];
    const due = everywhere(reads.buckets, async (place) => ({
      ...(await reads.due({ nowMs: horizonMs, limit: PER_BUCKET, ...place })),
      // The rest of a bucket comes later than these.
      after: undefined,
    }));
    for await (const sandbox of due) {
      if (sandbox.status === 'allocated' && sandbox.quarantine === undefined)
        coming.push(sandbox.lease.reclaimAt * 1000 + cleaningMs);
      else if (sandbox.status === 'pending_deletion') {
        coming.push(Math.max(clock.nowMs(), sandbox.cleanup.requestedAt * 1000 + usualMs));
      }
    }
    return coming.sort((a, b) => a - b);
  }

  return {
    async coming() {
      const nowMs = performance.now();
      if (known && nowMs - known.atMs < EVERY_MS) return known;
      reading ??= read().finally(() => {
        reading = undefined;
      });
      known = { comingMs: await reading, atMs: nowMs };
      return known;
    },
    noteFreed({ seen, next }) {
      if (seen === undefined || !('cleanup' in seen) || seen.cleanup === undefined) return;
      const tookMs = next.updatedAtMs - seen.cleanup.requestedAt * 1000;
      usualMs += NEW_PART * (tookMs - usualMs);
    },
  };
}

const HORIZON_MS = 400 * 86_400_000;
