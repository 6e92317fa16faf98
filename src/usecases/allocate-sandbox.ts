import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, NewId } from '../clock.ts';
import { BrokerError } from '../domain/errors.ts';
import type { LeaseTerms } from '../domain/lease.ts';
import { StoreUnavailableError } from '../store/errors.ts';
import type { Grant, GrantOutcome } from '../store/grants.ts';
import type { KeyRecord } from '../store/idempotency.ts';
import type { ReadyList } from '../store/ready-list.ts';
import type { Sweep } from '../store/ready-list-sweeps.ts';
import type { SandboxStore } from '../store/sandboxes.ts';
import { limitTime } from '../time-limit.ts';
import type { CallContext } from './context.ts';
import {
  type AllocateInput,
  answersWith,
  type FoundLease,
  type GrantedLease,
  type LeaseRequest,
  replay,
  toGrant,
  toGranted,
  toRequest,
} from './lease-request.ts';

export type { AllocateInput, GrantedLease };

export interface AllocateResult extends FoundLease {
  /** Candidates lost to others before one was won. */
  conflicts: number;
}

export type AllocateSandbox = (input: AllocateInput, context: CallContext) => Promise<AllocateResult>;

export interface AllocateDeps {
  store: Pick<SandboxStore, 'grant'>;
  /** The idempotency key's record, strongly consistent, if it has a lease or remembers one. */
  readKey: (pk: string, signal: AbortSignal) => Promise<KeyRecord | undefined>;
  keyPk: (principal: string, holder: string, key: string) => string;
  readyList: ReadyList;
  clock: Clock;
  newId: NewId;
  terms: LeaseTerms;
  /** How long to look for a sandbox before `BUSY`, milliseconds. */
  deadlineMs: number;
}

/**
 * Leases a free sandbox to a key, or finds the lease that the key already has.
 *
 * Throws `NO_SANDBOXES_AVAILABLE` only after a sweep of the whole pool that began after the call and saw none;
 * `IDEMPOTENCY_KEY_REUSED` for another request under the same explicit key; `BUSY` when sandboxes were seen but all
 * lost to others until the deadline; `STORE_UNAVAILABLE`.
 */
export function allocateSandbox(deps: AllocateDeps): AllocateSandbox {
  /** Calls under way, by request: same-key calls inside this process share one attempt. */
  const underWay = new Map<string, Promise<Answer>>();

  return async (input, context) => {
    const arrivedAtMs = performance.now();
    const request = toRequest(deps.keyPk, input);
    const sharedBy = `${request.keyPk} ${request.hash} ${request.explicitKey}`;
    let expectsLease = false;
    for (;;) {
      const shared = underWay.get(sharedBy);
      const own: Promise<Answer> =
        shared ?? lease(deps, request, expectsLease, context).finally(() => underWay.delete(sharedBy));
      if (shared === undefined) underWay.set(sharedBy, own);
      const { result, askedAtMs } = await own;
      // What the store said holds for the calls that came before it was asked. A later one asks again: by the time it
      // came something may have been free, or the lease over.
      if (shared !== undefined && askedAtMs < arrivedAtMs) {
        expectsLease = result !== 'none_free';
        continue;
      }
      if (result === 'none_free') throw noneFree(input.namePrefix);
      return shared !== undefined ? { ...result, replayed: true, conflicts: 0 } : result;
    }
  };
}

/** What the store said, and when it was asked for that at the earliest, on the monotonic clock. */
interface Answer {
  result: AllocateResult | 'none_free';
  askedAtMs: number;
}

/** `expectsLease`: the key is likely to have one already. */
async function lease(
  deps: AllocateDeps,
  request: LeaseRequest,
  expectsLease: boolean,
  context: CallContext,
): Promise<Answer> {
  const startedAtMs = performance.now();
  const deadline = limitTime(deps.deadlineMs);
  const attempt = deps.newId();
  let conflicts = 0;
  const findLease = async (): Promise<Answer | undefined> => {
    const askedAtMs = performance.now();
    const record = await deps.readKey(request.keyPk, deadline.signal);
    const nowMs = deps.clock.nowMs();
    if (!record || !answersWith(request, record, nowMs)) return undefined;
    return { result: { ...replay(request, record, attempt, nowMs), conflicts }, askedAtMs };
  };
  try {
    if (expectsLease || deps.readyList.believedEmpty) {
      // In a pool that is leased out, most who call have their lease already: one read instead of a sweep.
      const found = await findLease();
      if (found) return found;
    }
    while (!deadline.signal.aborted) {
      // Before a hint is taken: reading a clock that is off throws.
      const nowMs = deps.clock.nowMs();
      const candidate = deps.readyList.take(request.input.namePrefix);
      if (candidate) {
        const askedAtMs = performance.now();
        const grant = toGrant(deps, request, candidate, { attempt, nowMs }, context);
        const result = await tryGrant(deps, request, grant, deadline.signal);
        if (result !== 'lost') return { result: { ...result, conflicts }, askedAtMs };
        conflicts++;
        continue;
      }
      const sweep = await sweepUntil(deadline.signal, deps.readyList, request.input.namePrefix);
      // Time ran out: without a candidate that was lost to others, it is the store that takes so long.
      if (!sweep) throw conflicts > 0 ? busy() : new StoreUnavailableError(deadline.signal.reason);
      if (sweep.exhausted && sweep.startedAtMs >= startedAtMs) {
        // Another replica may just have served this very key.
        return (await findLease()) ?? { result: 'none_free', askedAtMs: sweep.startedAtMs };
      }
    }
    throw busy();
  } finally {
    deadline.clear();
  }
}

/** The next sweep; nothing when time ran out before its end. */
async function sweepUntil(
  deadline: AbortSignal,
  readyList: ReadyList,
  namePrefix: string | undefined,
): Promise<Sweep | undefined> {
  try {
    return await readyList.sweep(namePrefix, deadline);
  } catch (error) {
    if (deadline.aborted) return undefined;
    throw error;
  }
}

/** Tries one candidate until it is decided: leased to this key, found to be the key's already, or lost. */
async function tryGrant(
  deps: AllocateDeps,
  request: LeaseRequest,
  grant: Grant,
  deadline: AbortSignal,
): Promise<FoundLease | 'lost'> {
  const { seen: candidate } = grant;
  const { attempt } = grant.key;
  let outcome: GrantOutcome | undefined;
  try {
    outcome = await deps.store.grant(grant, deadline);
    while (outcome.type === 'key_conflict') {
      await delay(5 + Math.random() * 20);
      if (deadline.aborted) break;
      outcome = await deps.store.grant(grant, deadline);
    }
  } finally {
    if (outcome?.type === 'granted') deps.readyList.settle(candidate, 'won');
    else if (outcome?.type === 'sandbox_lost') deps.readyList.settle(candidate, 'lost');
    else if (outcome?.type === 'key_taken' && outcome.record.attempt !== attempt)
      deps.readyList.giveBack(candidate);
    else deps.readyList.settle(candidate, 'open');
  }
  switch (outcome.type) {
    case 'granted':
      return { lease: toGranted(grant.key), replayed: false };
    case 'key_taken':
      return replay(request, outcome.record, attempt, grant.nowMs);
    case 'sandbox_lost':
    case 'sandbox_conflict':
      return 'lost';
    case 'key_conflict':
      throw busy();
  }
}

const NONE_FREE_RETRY_AFTER_SECONDS = 5;

const noneFree = (namePrefix: string | undefined) =>
  new BrokerError(
    'NO_SANDBOXES_AVAILABLE',
    namePrefix === undefined
      ? 'No sandbox is free at the moment.'
      : 'No sandbox whose name begins with the prefix is free at the moment.',
    { retryAfterSeconds: NONE_FREE_RETRY_AFTER_SECONDS },
  );

const busy = () =>
  new BrokerError('BUSY', 'Sandboxes are free, but others were faster each time. Try again.', {
    retryAfterSeconds: 1,
  });
