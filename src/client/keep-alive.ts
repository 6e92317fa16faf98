import type { Lease } from '../api/types/leases.ts';
import { isOver } from './broker-error.ts';
import type { CallLimits } from './call.ts';
import { pause } from './waiting.ts';

/** A lease that is being kept. */
export interface KeepAlive {
  /** Aborted when the lease is lost: its `reason` is the refusal. Hand it to whatever works in the sandbox. */
  readonly lost: AbortSignal;
}

/** A sign of life comes three times as often as promised: two may go astray. */
const BEATS = 3;
/** After a call that did not work, milliseconds. */
const RETRY_MS = 5_000;
/** A timer of JavaScript takes no more. */
const LONGEST_MS = 2 ** 31 - 1;

interface Kept extends Readonly<Lease> {
  readonly replayed: boolean;
  extend(durationSeconds: number, limits: CallLimits): Promise<Lease>;
  heartbeat(limits: CallLimits): Promise<Lease>;
}

/**
 * Keeps a lease until `stop`, or until it is lost: signs of life in time, and an extension by as long as the lease was
 * granted for whenever half of that is over. A call that fails is made again; it is only the broker that says that a lease is
 * over. Times are measured on this machine's monotonic clock, so that it does not matter what its wall clock says.
 */
export function keepAlive(lease: Kept, grantedAtMs: number): KeepAlive & { stop(): void } {
  const { heartbeat_seconds: heartbeatSeconds } = lease;
  const durationSeconds = lease.expires_at - lease.allocated_at;
  // How much of a replayed lease is left is not known here.
  const passedMs = lease.replayed ? Number.POSITIVE_INFINITY : performance.now() - grantedAtMs;
  const stopped = new AbortController();
  const lost = new AbortController();

  async function every(firstMs: number, step: () => Promise<number | undefined>): Promise<void> {
    let waitMs: number | undefined = firstMs;
    while (waitMs !== undefined) {
      await pause(Math.min(Math.max(0, waitMs), LONGEST_MS), stopped.signal, false);
      waitMs = await step().catch((error: unknown) => {
        if (isOver(error)) throw error;
        return RETRY_MS;
      });
    }
  }

  const beat = (seconds: number) =>
    every(0, async () => {
      const intervalMs = (seconds * 1000) / BEATS;
      await lease.heartbeat({ signal: stopped.signal, deadlineMs: intervalMs });
      return intervalMs;
    });

  const prolong = () =>
    every(durationSeconds * 500 - passedMs, async () => {
      const before = lease.expires_at;
      const { expires_at: after } = await lease.extend(durationSeconds, { signal: stopped.signal });
      // The longest that a lease may last is reached: there is no more to be had.
      return after > before ? durationSeconds * 500 : undefined;
    });

  const keep = (work: Promise<void>) =>
    void work.catch((error: unknown) => {
      if (stopped.signal.aborted) return;
      lost.abort(error);
      stopped.abort();
    });
  if (heartbeatSeconds !== undefined) keep(beat(heartbeatSeconds));
  keep(prolong());
  return { lost: lost.signal, stop: () => stopped.abort() };
}
