import type { Clock } from '../../clock.ts';
import type { Coming } from '../../domain/line.ts';
import type { PendingSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { Change } from '../../store/sandboxes/changes.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import { everywhere } from '../everywhere.ts';

/** What is known of sandboxes to come is read so often at most, and so many of each bucket. */
const EVERY_MS = 120_000;
const PER_BUCKET = 100;
/** Assumed until a cleanup was seen. */
const USUAL_CLEANUP_MS = 60_000;
/** The part that a newly seen duration has in what is usual. */
const NEW_PART = 0.2;
/** So many of the last leases tell how long one lasts. */
const HOLDS = 100;
const TOLD_FOR_MS = 1_000;
const HORIZON_MS = 400 * 86_400_000;

export interface ForecastDeps {
  reads: Pick<SandboxReads, 'buckets' | 'due'>;
  clock: Clock;
  /** Leases that run out are looked for so often, and cleanups begin so often, milliseconds. */
  expiryIntervalMs: number;
  cleanupIntervalMs: number;
  /** How long after it was cleaned a sandbox is free, milliseconds. */
  cooldownMs: number;
}

/** When sandboxes are expected to be free again: leases at their end, and those that wait for a cleanup. */
export interface SandboxForecast {
  /** The earliest first; from memory, where it was read lately. */
  coming(): Promise<readonly Coming[]>;
  /** This replica has changed a sandbox: what is known of it, and how long after its return one is free as a rule. */
  note(change: Pick<Change, 'seen' | 'next'>): void;
}

/**
 * A lease is expected to last as long as half of those did that have lasted longer than it has until now; at the latest it
 * is over when it has run out and was looked for. Then comes the cleanup, which takes as long as the last ones did.
 */
export function createForecast(deps: ForecastDeps): SandboxForecast {
  const { reads, clock, cooldownMs } = deps;
  const toExpireMs = deps.expiryIntervalMs + deps.cleanupIntervalMs + USUAL_CLEANUP_MS + cooldownMs;
  let usualMs = USUAL_CLEANUP_MS + deps.cleanupIntervalMs / 2;
  /** For how long the last leases were held, milliseconds. */
  let holdsMs: number[] = [];
  /** As it was computed last: many ask at once. */
  let told: { coming: readonly Coming[]; atMs: number } | undefined;
  /** By id: in use, or on its way back. */
  let known = new Map<string, Sandbox>();
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;

  /** Undefined: nobody knows when, or it is not to be given away. */
  function comingMs(sandbox: Sandbox, sortedHoldsMs: readonly number[], nowMs: number): number | undefined {
    if (sandbox.status === 'cooling') return sandbox.coolUntilMs;
    const toFreeMs = usualMs + cooldownMs;
    if (sandbox.status === 'pending_deletion') return sandbox.cleanup.requestedAt * 1000 + toFreeMs;
    if (sandbox.status !== 'allocated' || sandbox.quarantine !== undefined) return undefined;
    const { allocatedAt, reclaimAt } = sandbox.lease;
    const latestMs = reclaimAt * 1000 + toExpireMs;
    const longer = sortedHoldsMs.findIndex((holdMs) => holdMs > nowMs - allocatedAt * 1000);
    if (longer < 0) return latestMs;
    const holdMs = sortedHoldsMs[Math.floor((longer + sortedHoldsMs.length) / 2)] ?? 0;
    return Math.min(allocatedAt * 1000 + holdMs + toFreeMs, latestMs);
  }

  function compute(nowMs: number): Coming[] {
    const sortedHoldsMs = holdsMs.toSorted((one, other) => one - other);
    return [...known.values()]
      .flatMap((sandbox) => {
        const atMs = comingMs(sandbox, sortedHoldsMs, nowMs);
        return atMs === undefined ? [] : { name: sandbox.name, atMs };
      })
      .sort((one, other) => one.atMs - other.atMs);
  }

  function noteHold({ lease, cleanup }: PendingSandbox): void {
    holdsMs = [...holdsMs, (cleanup.requestedAt - lease.allocatedAt) * 1000].slice(-HOLDS);
  }

  async function read(): Promise<void> {
    const nowMs = clock.nowMs();
    const found = new Map<string, Sandbox>();
    const due = everywhere(reads.buckets, async (place) => ({
      ...(await reads.due({ ...place, nowMs: nowMs + HORIZON_MS, limit: PER_BUCKET })),
      // The rest of a bucket comes later than these.
      after: undefined,
    }));
    for await (const sandbox of due) found.set(sandbox.id, sandbox);
    known = found;
    readAtMs = nowMs;
  }

  return {
    async coming() {
      if (Math.abs(clock.nowMs() - readAtMs) >= EVERY_MS) {
        reading ??= read().finally(() => {
          reading = undefined;
        });
        await reading;
      }
      const nowMs = clock.nowMs();
      if (!told || Math.abs(nowMs - told.atMs) >= TOLD_FOR_MS) told = { coming: compute(nowMs), atMs: nowMs };
      return told.coming;
    },

    note({ seen, next }) {
      if (isComing(next)) known.set(next.id, next);
      else known.delete(next.id);
      if (next.status === 'pending_deletion' && seen?.status === 'allocated') noteHold(next);
      const isCleaned =
        next.status === 'available' || next.status === 'cooling' || next.status === 'allocated';
      if (!isCleaned || seen?.status !== 'pending_deletion') return;
      const tookMs = next.updatedAtMs - seen.cleanup.requestedAt * 1000;
      usualMs += NEW_PART * (tookMs - usualMs);
    },
  };
}

const isComing = ({ status }: Sandbox): boolean =>
  status === 'allocated' || status === 'pending_deletion' || status === 'cooling';
