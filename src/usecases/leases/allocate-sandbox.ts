import { BrokerError } from '../../domain/errors.ts';
import { StoreUnavailableError } from '../../store/dynamo/errors.ts';
import type { ReadyList } from '../../store/sandboxes/ready-list.ts';
import type { Sweep } from '../../store/sandboxes/ready-list-sweeps.ts';
import { limitTime } from '../../time-limit.ts';
import type { CallContext } from '../context.ts';
import { confirmLease } from './confirm-lease.ts';
import {
  type AllocateInput,
  type FoundLease,
  type GrantedLease,
  type LeaseRequest,
  refuseTooLong,
  replay,
  toGrant,
  toRequest,
} from './lease-request.ts';
import { rememberOpenKeys } from './open-keys.ts';
import { type Answer, shareAttempts } from './share-attempts.ts';
import { busy, type GrantDeps, readLease, tryGrant } from './try-grant.ts';

export type { AllocateInput, GrantedLease };

export interface AllocateResult extends FoundLease {
  /** Candidates lost to others before one was won. */
  conflicts: number;
}

export type AllocateSandbox = (input: AllocateInput, context: CallContext) => Promise<AllocateResult>;

export interface AllocateDeps extends Omit<GrantDeps, 'openKeys'> {
  keyPk: (principal: string, holder: string, key: string) => string;
  /** How long to look for a sandbox before `BUSY`, milliseconds. */
  deadlineMs: number;
}

/**
 * Leases a free sandbox to a key, or finds the lease that the key already has.
 *
 * Throws `NO_SANDBOXES_AVAILABLE` only after a sweep of the whole pool that began after the call and saw none;
 * `INVALID_REQUEST` for a duration that is too long; `IDEMPOTENCY_KEY_REUSED` for another request under the same explicit key; `BUSY` when sandboxes were seen but all
 * lost to others until the deadline; `STORE_UNAVAILABLE`.
 */
export function allocateSandbox(deps: AllocateDeps): AllocateSandbox {
  /** Same-key calls inside this process share one attempt. */
  const share = shareAttempts<Found>();
  const openKeys = rememberOpenKeys();

  return async (input, context) => {
    refuseTooLong(input.durationSeconds, deps.terms);
    const request = toRequest(deps.keyPk, input);
    const deadline = limitTime(deps.deadlineMs);
    try {
      const { result, isShared } = await share(
        `${request.keyPk} ${request.hash} ${request.explicitKey}`,
        deadline.signal,
        (tooEarly) => {
          const expectsLease = openKeys.has(request.keyPk) || (tooEarly ?? 'none_free') !== 'none_free';
          return lease({ ...deps, openKeys }, request, expectsLease, context, deadline.signal);
        },
      );
      if (result === 'none_free') throw noneFree(input.namePrefix);
      return isShared ? { ...result, replayed: true, conflicts: 0 } : result;
    } finally {
      deadline.clear();
    }
  };
}

type Found = AllocateResult | 'none_free';

/** `expectsLease`: the key is likely to have one already. */
async function lease(
  deps: AllocateDeps & GrantDeps,
  request: LeaseRequest,
  expectsLease: boolean,
  context: CallContext,
  deadline: AbortSignal,
): Promise<Answer<Found>> {
  const { namePrefix } = request.input;
  const startedAtMs = performance.now();
  const attempt = deps.newId();
  let conflicts = 0;
  let hasSwept = false;
  const confirm = (found: FoundLease) => confirmLease(deps, found, { ...context, signal: deadline });
  const findLease = async (): Promise<Answer<Found> | undefined> => {
    const askedAtMs = performance.now();
    const record = await readLease(deps, request, deadline);
    if (!record) return undefined;
    const found = await confirm(replay(request, record, attempt, deps.clock.nowMs()));
    // What its key has is over by now, and the key says so or is free.
    return found ? { result: { ...found, conflicts }, askedAtMs } : await findLease();
  };
  if (expectsLease || deps.readyList.believedEmpty) {
    // In a pool that is leased out, most who call have their lease already: one read instead of a sweep.
    const found = await findLease();
    if (found) return found;
  }
  while (!deadline.aborted) {
    // Before a hint is taken: reading a clock that is off throws.
    const nowMs = deps.clock.nowMs();
    // Where no bucket that takes grants has a candidate at hand, a sweep may find one there; after that any will do.
    const candidate = deps.readyList.take(namePrefix, hasSwept ? 'any' : 'well');
    if (candidate) {
      const askedAtMs = performance.now();
      const grant = toGrant(deps, request, candidate, { attempt, nowMs }, context);
      const result = await tryGrant(deps, request, grant, deadline);
      if (result === 'lost') conflicts++;
      if (result === 'lost' || result === 'no_room') continue;
      const found = await confirm(result);
      if (found) return { result: { ...found, conflicts }, askedAtMs };
      continue;
    }
    const sweep = await sweepUntil(deadline, deps.readyList, namePrefix);
    hasSwept = true;
    if (sweep?.exhausted && sweep.startedAtMs >= startedAtMs) {
      // Another replica may just have served this very key.
      return (await findLease()) ?? { result: 'none_free', askedAtMs: sweep.startedAtMs };
    }
  }
  // Time ran out: without a candidate that was lost to others, it is the store that takes so long.
  throw conflicts > 0 ? busy() : new StoreUnavailableError(deadline.reason);
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

const NONE_FREE_RETRY_AFTER_SECONDS = 5;

const noneFree = (namePrefix: string | undefined) =>
  new BrokerError(
    'NO_SANDBOXES_AVAILABLE',
    namePrefix === undefined
      ? 'No sandbox is free at the moment.'
      : 'No sandbox whose name begins with the prefix is free at the moment.',
    { retryAfterSeconds: NONE_FREE_RETRY_AFTER_SECONDS },
  );
