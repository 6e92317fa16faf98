import type { Clock } from '../../clock.ts';
import { endCooldown } from '../../domain/cooldown.ts';
import { eventOf } from '../../domain/event.ts';
import { isSilent, type Lease } from '../../domain/lease.ts';
import { endLease } from '../../domain/quarantine.ts';
import type { AllocatedSandbox, CoolingSandbox } from '../../domain/sandbox.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { workOff } from '../../work-off.ts';
import type { CallContext } from '../context.ts';
import { hasCooled } from '../deletion/cooling.ts';
import { everywhere } from '../everywhere.ts';
import type { LineServer } from '../line/free-through-line.ts';
import { isUncollected } from '../line/tend-line.ts';

export interface ExpireCounts {
  /** Leases past their end and buffer, or whose holder was silent for too long. */
  overdue: number;
  marked: number;
  /** Given back, or changed, while the run looked at them. */
  skipped: number;
  /** Leases of places in the line that nobody came for: gone to the next, or free. Only there where there was one. */
  passed_on?: number;
  /** Sandboxes that had cooled down: gone to who waits, or free. Only there where there was one. */
  cooled?: number;
  /** Could not be taken back; the next run tries them again. Only there where one failed. */
  failed?: number;
}

export interface ExpireDeps {
  store: Pick<SandboxStore, 'write'> & Pick<LineServer, 'passOn'>;
  reads: SandboxReads;
  clock: Clock;
  /** A lease could not be ended, and will be tried again. */
  onFailure: (sandboxId: string, error: unknown) => void;
}

/** How a history calls the end of a lease whose time is over. */
export const expiryOf = (lease: Lease, nowMs: number): { action: string; detail?: string } => ({
  action: 'expire',
  ...(isSilent(lease, nowMs) && { detail: 'silent' }),
});

/** Leases that are ended at once, and share transactions: after an outage thousands may be due. */
const AT_ONCE = 32;

/**
 * Takes back what was forgotten: a lease whose buffer is over, or whose holder is silent, is marked for deletion, and its key is free again. One that
 * cannot be taken back keeps none of the others. What has cooled down is free. Told to stop, it returns with what it has done.
 */
export function expireLeases(deps: ExpireDeps) {
  return async (context: CallContext, onProgress?: () => void): Promise<ExpireCounts> => {
    const counts: ExpireCounts = { overdue: 0, marked: 0, skipped: 0 };
    const nowMs = deps.clock.nowMs();
    let passedOn = 0;
    let cooled = 0;
    async function* due() {
      const found = everywhere(deps.reads.buckets, (place) =>
        deps.reads.due({ nowMs, ...place }, context.signal),
      );
      for await (const seen of found) {
        if (seen.status === 'allocated' || seen.status === 'cooling') yield seen;
      }
    }
    const takeBack = async (seen: AllocatedSandbox) => {
      const nowMs = deps.clock.nowMs();
      const { collectBy, reclaimAt } = seen.lease;
      if (collectBy !== undefined && reclaimAt * 1000 > nowMs) {
        // It was given to a place in the line, and its caller has not come for it.
        context.assertHeld?.();
        const isLate = isUncollected(collectBy, nowMs);
        if (isLate && (await deps.store.passOn(seen, context, context.signal))) passedOn++;
        return;
      }
      counts.overdue++;
      const next = endLease(seen, nowMs);
      const { action, detail } = expiryOf(seen.lease, nowMs);
      const event = eventOf(seen, next, action, context, detail);
      context.assertHeld?.();
      const written = await deps.store.write({ seen, next, event }, context.signal);
      counts[written ? 'marked' : 'skipped']++;
      onProgress?.();
    };
    const free = async (seen: CoolingSandbox) => {
      const nowMs = deps.clock.nowMs();
      if (!hasCooled(seen, nowMs)) return;
      const next = endCooldown(seen, nowMs);
      context.assertHeld?.();
      const event = eventOf(seen, next, 'cooled', context);
      if (await deps.store.write({ seen, next, event }, context.signal)) cooled++;
    };
    const settle = (seen: AllocatedSandbox | CoolingSandbox) =>
      seen.status === 'cooling' ? free(seen) : takeBack(seen);
    const { failed } = await workOff(due(), settle, {
      atOnce: AT_ONCE,
      signal: context.signal,
      onFailure: ({ id }, error) => deps.onFailure(id, error),
    });
    return {
      ...counts,
      ...(passedOn > 0 && { passed_on: passedOn }),
      ...(cooled > 0 && { cooled }),
      ...(failed > 0 && { failed }),
    };
  };
}
