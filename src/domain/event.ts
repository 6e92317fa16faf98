import type { Sandbox, SandboxStatus } from './sandbox.ts';

/** One status change of a sandbox: who did what, when, and on whose behalf. */
export interface SandboxEvent {
  sandboxId: string;
  /** The sandbox's generation after the change. */
  generation: number;
  /** `track`, `admin` (with a number where the role has several tokens: which one), or the loop's action. */
  actor: string;
  /** What was done, such as `allocate` or `cleanup_failed`. */
  action: string;
  /** Absent for the first event: the record was created. */
  from?: SandboxStatus | undefined;
  to: SandboxStatus;
  /** Epoch milliseconds. */
  atMs: number;
  requestId: string;
  correlationId: string;
  holder?: string | undefined;
  leaseId?: string | undefined;
  /** More on it, such as a delete's outcome or a provider error's kind. */
  detail?: string | undefined;
}

/** Who acts, and the ids that tie the change to the request or the loop's run. */
export interface Actor {
  actor: string;
  requestId: string;
  correlationId: string;
}

/** The event of a change from `seen` (absent: the record is new) to `next`. */
export function eventOf(
  seen: Sandbox | undefined,
  next: Sandbox,
  action: string,
  by: Actor,
  detail?: string,
): SandboxEvent {
  const lease = ('lease' in next && next.lease) || (seen && 'lease' in seen && seen.lease) || undefined;
  return {
    sandboxId: next.id,
    generation: next.generation,
    actor: by.actor,
    action,
    from: seen?.status,
    to: next.status,
    atMs: next.updatedAtMs,
    requestId: by.requestId,
    correlationId: by.correlationId,
    holder: lease?.holder,
    leaseId: lease?.leaseId,
    detail,
  };
}
