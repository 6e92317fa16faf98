import type { SandboxEvent } from '../../../../src/domain/event.ts';
import type { SandboxStatus } from '../../../../src/domain/sandbox.ts';
import type { Call, History, Rule, Violation } from '../history.ts';
import type { LeaseEnds } from '../lease-ends.ts';
import type { FoundLease, Step, Timeline } from '../timeline.ts';

/** What may begin and end a lease. Everything else that happens to a sandbox leaves leases alone. */
const LEASE_STEPS: Record<string, { from: SandboxStatus; to: readonly SandboxStatus[] }> = {
  allocate: { from: 'available', to: ['allocated'] },
  mark_for_deletion: { from: 'allocated', to: ['pending_deletion', 'quarantined'] },
  report: { from: 'allocated', to: ['quarantined'] },
  release: { from: 'allocated', to: ['pending_deletion', 'quarantined'] },
  pass_on: { from: 'allocated', to: ['available', 'quarantined'] },
  expire: { from: 'allocated', to: ['pending_deletion', 'quarantined'] },
};

/** What is said of a leased sandbox without ending its lease, or by an operator with it. */
const isHandOnLease = ({ action, from, to }: SandboxEvent): boolean =>
  from === 'allocated' &&
  ((action === 'extend' && to === 'allocated') ||
    (action === 'quarantine' && (to === 'allocated' || to === 'quarantined')) ||
    (action === 'restore' && to === 'allocated'));

/** Each sandbox's events, held against each other, against the calls that caused them, and against the clock. */
export function checkChains({ chains, leases }: Timeline, history: History, ends: LeaseEnds): Violation[] {
  const ofChains = [...chains.values()].flatMap((steps) => [
    ...checkLinks(steps),
    ...checkOrder(steps),
    ...steps.flatMap((step) => [...checkShape(step), ...checkCause(step)]),
    ...checkCooldowns(steps, history.cooldownMs ?? 0),
  ]);
  return [...ofChains, ...leases.flatMap((lease) => checkExpiry(lease, ends))];
}

/** Each event begins where the last one ended. */
function checkLinks(steps: readonly Step[]): Violation[] {
  return steps.flatMap((step, index) => {
    const before = steps[index - 1];
    if (before === undefined || step.event.from === before.event.to) return [];
    return {
      rule: step.event.action === 'allocate' ? lostBy(before.event.to) : 'broken_history',
      message: `${told(step)} follows ${told(before)}, which left it ${before.event.to}`,
    } as const;
  });
}

/** What it means that somebody gets a sandbox that is so. */
function lostBy(status: SandboxStatus): Rule {
  if (status === 'allocated') return 'two_holders';
  return status === 'quarantined' || status === 'cooling' ? 'unfit_lease' : 'broken_history';
}

/** No event can have happened after one that comes later in the history. */
function checkOrder(steps: readonly Step[]): Violation[] {
  const violations: Violation[] = [];
  let last: Step | undefined;
  for (const step of steps) {
    if (last === undefined || step.earliestMs > last.earliestMs) last = step;
    if (step.latestMs < last.earliestMs) {
      violations.push({
        rule: step.event.action === 'allocate' ? 'two_holders' : 'broken_history',
        message: `${told(step)} was over at ${step.latestMs}, before ${told(last)} began at ${last.earliestMs}`,
      });
    }
  }
  return violations;
}

function checkShape(step: Step): Violation[] {
  const { action, from, to } = step.event;
  const shape = LEASE_STEPS[action];
  const isRight = shape
    ? from === shape.from && shape.to.includes(to)
    : from !== 'allocated' && to !== 'allocated';
  if (isRight || isHandOnLease(step.event)) return [];
  const rule = from === 'allocated' ? 'lost_lease' : 'broken_history';
  return [{ rule, message: `${told(step)} leads from ${from} to ${to}` }];
}

/** A lease, a mark and a release each have a recorded call that asked for just that. */
function checkCause(step: Step): Violation[] {
  const { event, call } = step;
  if (isCause(step, call)) return [];
  const asked = call === undefined ? 'nobody' : `${call.op} ${call.id}`;
  const rule = event.from === 'allocated' ? 'lost_lease' : 'broken_history';
  return [{ rule, message: `${told(step)} was asked for by ${asked}` }];
}

function isCause({ event }: Step, call: Call | undefined): boolean {
  switch (event.action) {
    case 'allocate':
      return (call?.op === 'allocate' || call?.op === 'report') && call.holder === event.holder;
    case 'mark_for_deletion':
      if (call?.op === 'mark_all') return call.holder === event.holder;
      return call?.op === 'mark' && call.sandboxId === event.sandboxId && call.holder === event.holder;
    case 'report':
    case 'extend':
      return call?.op === event.action && call.sandboxId === event.sandboxId && call.holder === event.holder;
    case 'release':
    case 'retry_deletion':
    case 'quarantine':
    case 'restore':
      return call?.op === event.action && call.sandboxId === event.sandboxId;
    default:
      return true;
  }
}

/** By the clock of whoever took it back, the lease and its buffer were over, or its holder was silent for too long. */
function checkExpiry(lease: FoundLease, ends: LeaseEnds): Violation[] {
  const { ended } = lease;
  if (ended?.event.action !== 'expire') return [];
  const isSilent = ended.event.detail === 'silent';
  const dueMs = isSilent ? ends.silentFromMs(lease) : ends.reclaimMs(lease);
  if (ended.event.atMs >= dueMs) return [];
  return [{ rule: 'lost_lease', message: `${told(ended)} came ${dueMs - ended.event.atMs} ms early` }];
}

/** By the clock of whoever freed it, it had rested for its time. */
function checkCooldowns(steps: readonly Step[], cooldownMs: number): Violation[] {
  return steps.flatMap((step, index) => {
    const cleaned = steps[index - 1];
    if (cleaned?.event.action !== 'cleanup_recycled' || step.event.to !== 'available') return [];
    const dueMs = cleaned.event.atMs + cooldownMs;
    if (step.event.atMs >= dueMs) return [];
    return {
      rule: 'unfit_lease',
      message: `${told(step)} came ${dueMs - step.event.atMs} ms early`,
    } as const;
  });
}

/** An event, for a message. */
export function told({ event, call }: Step): string {
  const holder = event.holder === undefined ? '' : ` of ${event.holder}`;
  const cause = call === undefined ? '' : ` by call ${call.id}`;
  return `${event.action} #${event.generation} of ${event.sandboxId}${holder}${cause}`;
}
