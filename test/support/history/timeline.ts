import type { SandboxEvent } from '../../../src/domain/event.ts';
import {
  type AllocateCall,
  type Call,
  type History,
  isChosen,
  keyOf,
  type ToldLease,
  toldIn,
} from './history.ts';

/** One event, and what is known of its moment on the recorder's clock. */
export interface Step {
  event: SandboxEvent;
  /** The recorded call that caused it. */
  call: Call | undefined;
  earliestMs: number;
  latestMs: number;
}

export interface FoundLease {
  sandboxId: string;
  holder: string;
  /** Absent where no recorded call asked for it. */
  key: string | undefined;
  /** The key is the caller's own, and remembers this lease. */
  isRemembered: boolean;
  leaseId: string | undefined;
  granted: Step;
  /** Moments at which its end was moved, in their order. */
  extensions: readonly Step[];
  ended: Step | undefined;
}

/** A time in which a sandbox was being got rid of: from a mark or an expiry to the end of the cleanup. */
export interface CleanupPeriod {
  sandboxId: string;
  begun: Step;
  ended: Step | undefined;
}

export interface Timeline {
  /** Every sandbox's events in their order. */
  chains: ReadonlyMap<string, readonly Step[]>;
  leases: readonly FoundLease[];
  periods: readonly CleanupPeriod[];
}

/**
 * Orders the events of each sandbox by their generation, and bounds the moment of each:
 *
 *     call starts ──────── its event ──────── call ends          an event lies within its call, if that was told of it
 *                at_ms ──── its event                            and after the time that its writer put on it
 *     earlier event ─────── its event ─────── later event        and between its neighbours
 */
export function buildTimeline(history: History): Timeline {
  const calls = new Map(history.calls.map((call) => [call.id, call]));
  const chains = new Map<string, Step[]>();
  for (const event of [...history.events].sort((a, b) => a.generation - b.generation)) {
    const steps = chains.get(event.sandboxId) ?? [];
    chains.set(event.sandboxId, steps);
    steps.push(stepOf(event, calls.get(event.correlationId), history.clockSkewMs));
  }
  applyObservations(chains, history);
  const leases = [...chains.values()].flatMap(leasesOf);
  applyReplays(leases, history);
  return { chains, leases, periods: [...chains.values()].flatMap(periodsOf) };
}

/** Between its neighbours: bounds of one event are bounds of those before and after it. Call it after the order is checked. */
export function propagate(chains: Timeline['chains']): void {
  for (const steps of chains.values()) {
    let earliestMs = -Infinity;
    for (const step of steps) {
      earliestMs = Math.max(earliestMs, step.earliestMs);
      step.earliestMs = earliestMs;
    }
    let latestMs = Infinity;
    for (const step of steps.toReversed()) {
      latestMs = Math.min(latestMs, step.latestMs);
      step.latestMs = latestMs;
    }
  }
}

function stepOf(event: SandboxEvent, call: Call | undefined, clockSkewMs: number | undefined): Step {
  const writtenMs = clockSkewMs === undefined ? -Infinity : event.atMs - clockSkewMs;
  return {
    event,
    call,
    earliestMs: Math.max(call?.startMs ?? -Infinity, writtenMs),
    latestMs: call !== undefined && tellsOf(call, event) ? call.endMs : Infinity,
  };
}

/**
 * Whether the answer to the call speaks of this event. One that was told of another lease of its key, or refused for
 * its key, has had attempts that failed: delivered once more by the network, one of them may succeed when the key is
 * free again. Nobody is told of that lease; its key finds it, or it runs out.
 */
function tellsOf(call: Call, { action, sandboxId }: SandboxEvent): boolean {
  if (action !== 'allocate') return true;
  if (call.op === 'report') {
    return call.outcome.type === 'reported' && call.outcome.replacement?.sandboxId === sandboxId;
  }
  if (call.op !== 'allocate') return true;
  if (call.outcome.type === 'none_free') return true;
  return toldIn(call).some((lease) => lease.sandboxId === sandboxId);
}

/** Whoever saw a generation saw it after all that made it, and before all that came after it. */
function applyObservations(chains: ReadonlyMap<string, Step[]>, { observations = [] }: History): void {
  for (const { sandboxId, generation, startMs, endMs } of observations) {
    for (const step of chains.get(sandboxId) ?? []) {
      if (step.event.generation <= generation) step.latestMs = Math.min(step.latestMs, endMs);
      else step.earliestMs = Math.max(step.earliestMs, startMs);
    }
  }
}

function leasesOf(steps: readonly Step[]): FoundLease[] {
  return steps.flatMap((granted, index) => {
    if (granted.event.action !== 'allocate') return [];
    const end = steps.findIndex(({ event }, at) => at > index && event.to !== 'allocated');
    const next = steps[end];
    const during = steps.slice(index + 1, end < 0 ? undefined : end);
    const { call: by } = granted;
    const call = by?.op === 'allocate' || by?.op === 'report' ? by : undefined;
    return {
      sandboxId: granted.event.sandboxId,
      holder: granted.event.holder ?? '',
      key: call && keyOf(call),
      // Of a lease that nobody was told of, its key remembers nothing.
      isRemembered: call !== undefined && isChosen(call) && next?.event.action !== 'pass_on',
      leaseId: granted.event.leaseId,
      granted,
      extensions: during.filter(({ event }) => event.action === 'extend'),
      ended: next?.event.from === 'allocated' ? next : undefined,
    };
  });
}

/** It is used, and on its way out; in quarantine for a while, it may be. */
const isCleanup = ({ event: { to, from } }: Step, isUnderWay: boolean): boolean =>
  to === 'pending_deletion' ||
  to === 'deletion_failed' ||
  (to === 'quarantined' && (isUnderWay || from === 'allocated'));

function periodsOf(steps: readonly Step[]): CleanupPeriod[] {
  const periods: CleanupPeriod[] = [];
  let open: CleanupPeriod | undefined;
  for (const step of steps) {
    if (isCleanup(step, open !== undefined)) {
      if (open) continue;
      open = { sandboxId: step.event.sandboxId, begun: step, ended: undefined };
      periods.push(open);
    } else if (open) {
      open.ended = step;
      open = undefined;
    }
  }
  return periods;
}

/** The leases that an answer may have told of as this one. */
export const toldOf = (
  leases: readonly FoundLease[],
  call: AllocateCall,
  told: Pick<ToldLease, 'sandboxId' | 'leaseId'>,
): FoundLease[] =>
  leases.filter(
    ({ sandboxId, key, holder, leaseId }) =>
      sandboxId === told.sandboxId &&
      (told.leaseId ?? leaseId) === leaseId &&
      (key === undefined ? holder === call.holder : key === keyOf(call)),
  );

/** May the lease have been live at some moment of the call? */
export const mayTouch = ({ granted, ended }: FoundLease, { startMs, endMs }: Call): boolean =>
  granted.earliestMs <= endMs && (ended === undefined || ended.latestMs >= startMs);

/** A replay saw the lease live; where there is only one that it can have seen, that bounds its moments. */
function applyReplays(leases: readonly FoundLease[], { calls }: History): void {
  for (const call of calls) {
    if (call.op !== 'allocate') continue;
    for (const told of toldIn(call).filter(({ leaseOver }) => !leaseOver)) {
      const [lease, ...others] = toldOf(leases, call, told);
      if (lease === undefined || others.length > 0 || !mayTouch(lease, call)) continue;
      lease.granted.latestMs = Math.min(lease.granted.latestMs, call.endMs);
      if (lease.ended) lease.ended.earliestMs = Math.max(lease.ended.earliestMs, call.startMs);
    }
  }
}
