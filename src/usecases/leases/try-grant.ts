import type { Clock, NewId } from '../../clock.ts';
import { BrokerError, StoreUnavailableError } from '../../domain/errors.ts';
import type { LeaseRules } from '../../domain/lease.ts';
import { type Backoff, backoffDelayMs } from '../../domain/resilience/backoff.ts';
import type { Grant, GrantOutcome } from '../../store/sandboxes/grants.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { ReadyList } from '../../store/sandboxes/ready-list.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { pause } from '../../time-limit.ts';
import { answersWith, type FoundLease, type LeaseRequest, toGranted } from './lease-request.ts';
import type { OpenKeys } from './open-keys.ts';

export interface GrantDeps {
  store: Pick<SandboxStore, 'get' | 'grant' | 'write'>;
  /** The idempotency key's record, strongly consistent, if it has a lease or remembers one. */
  readKey: (pk: string, signal: AbortSignal) => Promise<KeyRecord | undefined>;
  readyList: ReadyList;
  openKeys: OpenKeys;
  clock: Clock;
  newId: NewId;
  terms: LeaseRules;
}

/** The record that answers the request, if its key has one. */
export async function readLease(
  { readKey, openKeys, clock }: Pick<GrantDeps, 'readKey' | 'openKeys' | 'clock'>,
  request: LeaseRequest,
  signal: AbortSignal,
): Promise<KeyRecord | undefined> {
  const record = await readKey(request.keyPk, signal);
  if (!record || !answersWith(request, record, clock.nowMs())) return undefined;
  openKeys.settle(request.keyPk);
  return record;
}

/** Tries one candidate until it is decided: leased to this key, found to be the key's already (by that record), or not to be had. */
export async function tryGrant(
  deps: GrantDeps,
  request: LeaseRequest,
  grant: Grant,
  deadline: AbortSignal,
): Promise<FoundLease | { record: KeyRecord } | 'lost' | 'no_room'> {
  const { seen: candidate } = grant;
  const { attempt } = grant.key;
  let outcome: GrantOutcome | undefined;
  try {
    outcome = await grantUntil(deadline, deps, request, grant);
  } finally {
    if (outcome?.type === 'granted') deps.readyList.settle(candidate, 'won');
    else if (outcome?.type === 'sandbox_lost') deps.readyList.settle(candidate, 'lost');
    else if (outcome?.type === 'no_room') deps.readyList.giveBack(candidate);
    else if (outcome?.type === 'key_taken' && outcome.record.attempt !== attempt)
      deps.readyList.giveBack(candidate);
    else deps.readyList.settle(candidate, 'open');
  }
  switch (outcome.type) {
    case 'granted':
      return { lease: toGranted(grant.key), replayed: false };
    case 'key_taken':
      return { record: outcome.record };
    case 'sandbox_lost':
    case 'sandbox_conflict':
      return 'lost';
    case 'no_room':
      return 'no_room';
    case 'key_conflict':
      throw busy();
  }
}

/** Tries of a grant after the first one, while the store is out of reach, and the waits before them. */
const RETRIES = 3;
const BACKOFF: Backoff = { baseMs: 50, maxMs: 1_000, multiplier: 2 };

/**
 * Sends a grant until the store says what became of it. After a try that may have come true the key is read before the
 * next one: where writes are slow and reads are not, that is how a caller learns of its lease.
 */
async function grantUntil(
  deadline: AbortSignal,
  deps: GrantDeps,
  request: LeaseRequest,
  grant: Grant,
): Promise<GrantOutcome> {
  const { store, openKeys } = deps;
  const pk = request.keyPk;
  for (let failures = 0; ; ) {
    try {
      const outcome = await store.grant(grant, deadline);
      if (outcome.type === 'granted' || outcome.type === 'key_taken') openKeys.settle(pk);
      if (outcome.type !== 'key_conflict') return outcome;
      await pause(5 + Math.random() * 20, deadline);
      if (deadline.aborted) return outcome;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      if (error.mayComeTrue) openKeys.add(pk);
      if (deadline.aborted) throw error;
      const record = error.mayComeTrue ? await readLease(deps, request, deadline) : undefined;
      if (record) return { type: 'key_taken', record };
      if (failures === RETRIES) throw error;
      await pause(backoffDelayMs(BACKOFF, failures++, Math.random()), deadline);
    }
  }
}

/** Sandboxes were seen, and all lost to others. */
export const busy = () =>
  new BrokerError('BUSY', 'Sandboxes are free, but others were faster each time. Try again.', {
    retryAfterSeconds: 1,
  });
