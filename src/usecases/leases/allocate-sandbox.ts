import { BrokerError, StoreUnavailableError } from '../../domain/errors.ts';
import type { LineState } from '../../domain/line.ts';
import type { ReadyList } from '../../store/sandboxes/ready-list.ts';
import type { Sweep } from '../../store/sandboxes/ready-list-sweeps.ts';
import { limitTime } from '../../time-limit.ts';
import type { CallContext } from '../context.ts';
import {
  awaitTurn,
  type InLine,
  type JoinLine,
  joinLine,
  type Kept,
  type LineDeps,
  type Wait,
} from '../line/wait-in-line.ts';
import { keyAnswers } from './key-answers.ts';
import {
  type AllocateInput,
  type FoundLease,
  type GrantedLease,
  type LeaseRequest,
  refuseTooLong,
  toGrant,
  toRequest,
} from './lease-request.ts';
import { rememberOpenKeys } from './open-keys.ts';
import type { ServedKeys } from './served-keys.ts';
import { type Answer, shareAttempts } from './share-attempts.ts';
import { busy, type GrantDeps, tryGrant } from './try-grant.ts';

export type { AllocateInput, GrantedLease };

export interface AllocateResult extends FoundLease {
  /** Candidates lost to others before one was won. */
  conflicts: number;
  /** The part of the call for which it waited in line, milliseconds. */
  waitedMs?: number;
}

export type AllocateSandbox = (input: AllocateInput, context: CallContext) => Promise<AllocateResult>;
/** As {@link AllocateSandbox}, for who wants to wait where nothing is free. */
export type AllocateInLine = (
  input: AllocateInput,
  wait: Wait,
  context: CallContext,
) => Promise<AllocateResult | InLine>;

export interface AllocateDeps extends Omit<GrantDeps, 'openKeys'> {
  keyPk: (principal: string, holder: string, key: string) => string;
  /** How long to look for a sandbox before `BUSY`, milliseconds. */
  deadlineMs: number;
  servedKeys: ServedKeys;
  lineDeps: LineDeps;
}

/**
 * Leases a free sandbox to a key, or finds the lease that the key already has. Who wants to wait gets a place in the line
 * where nothing is free, and waits there; asked again, it keeps its place.
 *
 * Throws `NO_SANDBOXES_AVAILABLE` only after a sweep of the whole pool that began after the call and saw none;
 * `INVALID_REQUEST` for a duration that is too long; `IDEMPOTENCY_KEY_REUSED` for another request under the same
 * explicit key; `BUSY` when sandboxes were seen but all lost to others until the deadline; `LINE_FULL` and `PLACE_LOST` who
 * wants to wait; `STORE_UNAVAILABLE`.
 */
export function allocateSandbox(deps: AllocateDeps): {
  allocateSandbox: AllocateSandbox;
  allocateInLine: AllocateInLine;
} {
  /** Same-key calls inside this process share one attempt. */
  const share = shareAttempts<Found>();
  const openKeys = rememberOpenKeys();
  const attemptDeps = { ...deps, openKeys, emptiness: createEmptiness(), join: joinLine(deps.lineDeps) };
  const waitForTurn = awaitTurn(deps.lineDeps);

  async function find(
    input: AllocateInput,
    wait: Wait | undefined,
    context: CallContext,
  ): Promise<AllocateResult | Kept> {
    refuseTooLong(input.durationSeconds, deps.terms);
    const request = toRequest(deps.keyPk, input);
    const deadline = limitTime(deps.deadlineMs);
    try {
      const { result, isShared } = await share(
        `${request.keyPk} ${request.hash} ${request.explicitKey} ${wait?.seconds}`,
        deadline.signal,
        (tooEarly) => {
          const expectsLease =
            openKeys.has(request.keyPk) ||
            deps.servedKeys.has(request.keyPk) ||
            (tooEarly ?? 'none_free') !== 'none_free';
          return lease(attemptDeps, { request, wait, expectsLease }, context, deadline.signal);
        },
      );
      if (result === 'none_free') throw noneFree(input.namePrefix);
      if (!('ticket' in result)) deps.servedKeys.add(request.keyPk);
      return isShared && !('ticket' in result) ? { ...result, replayed: true, conflicts: 0 } : result;
    } finally {
      deadline.clear();
    }
  }

  return {
    async allocateSandbox(input, context) {
      const found = await find(input, undefined, context);
      // Only who wants to wait is given a place.
      if ('ticket' in found) throw noneFree(input.namePrefix);
      return found;
    },
    async allocateInLine(input, wait, context) {
      const found = await find(input, wait, context);
      if (!('ticket' in found)) return found;
      const startedAtMs = performance.now();
      const turn = await waitForTurn(found, wait);
      const waitedMs = performance.now() - startedAtMs;
      return turn.type === 'waiting'
        ? { ...turn.inLine, waitedMs }
        : { lease: turn.lease, replayed: false, conflicts: 0, waitedMs };
    },
  };
}

type Found = AllocateResult | 'none_free' | Kept;

interface Attempt {
  request: LeaseRequest;
  wait: Wait | undefined;
  /** The key is likely to have one already. */
  expectsLease: boolean;
}

type AttemptDeps = AllocateDeps & GrantDeps & { emptiness: Emptiness; join: JoinLine };

async function lease(
  deps: AttemptDeps,
  { request, wait, expectsLease }: Attempt,
  context: CallContext,
  deadline: AbortSignal,
): Promise<Answer<Found>> {
  const { namePrefix } = request.input;
  const startedAtMs = performance.now();
  const attempt = deps.newId();
  const key = keyAnswers(deps, { request, attempt, wait, context, signal: deadline });
  let conflicts = 0;
  let hasSwept = false;
  const asOf = async (
    askedAtMs: number,
    found: Promise<FoundLease | Kept | undefined>,
  ): Promise<Answer<Found> | undefined> => {
    const result = await found;
    return result && { result: 'ticket' in result ? result : { ...result, conflicts }, askedAtMs };
  };

  /** A place in the line, or what the key has by now; undefined where the pool has to be looked at again. */
  async function takePlace(proof: LineState, as: Wait): Promise<FoundLease | Kept | undefined> {
    const options = { attempt, proof, wait: as, gone: key.goneTicket() };
    const joined = await deps.join(request, options, context, deadline);
    if (joined !== 'pool_changed') return 'record' in joined ? await key.of(joined.record) : joined;
    deps.emptiness.forget();
    return undefined;
  }

  const kept = await asOf(startedAtMs, key.knownPlace());
  if (kept) return kept;
  if (expectsLease || deps.readyList.believedEmpty) {
    // In a pool that is leased out, most who call have their lease already: one read instead of a sweep.
    const found = await asOf(performance.now(), key.find());
    if (found) return found;
  }
  while (!deadline.aborted) {
    // Before a hint is taken: reading a clock that is off throws.
    const nowMs = deps.clock.nowMs();
    const askedAtMs = performance.now();
    // Where no bucket that takes grants has a candidate at hand, a sweep may find one there; after that any will do.
    const candidate = deps.readyList.take(namePrefix, hasSwept ? 'any' : 'well');
    if (candidate) {
      const grant = toGrant(deps, request, candidate, { attempt, nowMs }, context);
      const result = await tryGrant(deps, request, grant, deadline);
      if (result === 'lost') conflicts++;
      else if (result !== 'no_room') {
        if (!('record' in result)) return { result: { ...result, conflicts }, askedAtMs };
        const found = await asOf(askedAtMs, key.of(result.record));
        if (found) return found;
      }
      continue;
    }
    const knownEmpty = wait && deps.emptiness.known();
    if (wait && knownEmpty) {
      const found = await asOf(askedAtMs, takePlace(knownEmpty, wait));
      if (found) return found;
      continue;
    }
    const proof = wait && { state: await deps.lineDeps.line.state(deadline), atMs: performance.now() };
    const sweep = await sweepUntil(deadline, deps.readyList, namePrefix);
    hasSwept = true;
    if (!sweep?.exhausted || sweep.startedAtMs < (proof?.atMs ?? startedAtMs)) continue;
    if (wait && proof) {
      if (namePrefix === undefined) deps.emptiness.note(proof.state);
      const found = await asOf(askedAtMs, takePlace(proof.state, wait));
      if (found) return found;
      continue;
    }
    // Another replica may just have served this very key.
    return (
      (await asOf(performance.now(), key.find())) ?? { result: 'none_free', askedAtMs: sweep.startedAtMs }
    );
  }
  // Time ran out: without a candidate that was lost to others, it is the store that takes so long.
  throw conflicts > 0 ? busy() : new StoreUnavailableError(deadline.reason);
}

/** In which state of the line the whole pool was found empty: so it is for as long as nothing was freed. */
interface Emptiness {
  known(): LineState | undefined;
  note(state: LineState): void;
  forget(): void;
}

function createEmptiness(): Emptiness {
  let emptyAt: LineState | undefined;
  return {
    known: () => emptyAt,
    note(state) {
      emptyAt = state;
    },
    forget() {
      emptyAt = undefined;
    },
  };
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
