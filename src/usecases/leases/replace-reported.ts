import type { Clock, NewId } from '../../clock.ts';
import { isLeaseOver, type LeaseRules, TRACK_PRINCIPAL } from '../../domain/lease.ts';
import { HEAD_PRIORITY, type LineState } from '../../domain/line.ts';
import type { Replacements, Reported } from '../../store/line/replacements.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { ReadyList } from '../../store/sandboxes/ready-list.ts';
import type { CallContext } from '../context.ts';
import {
  ensureCollected,
  keepPlace,
  type LineDeps,
  placeOf,
  type Turn,
  tellTurn,
} from '../line/wait-in-line.ts';
import { leaseOver } from './held-lease.ts';
import { type LeaseRequest, toGrant, toGranted } from './lease-request.ts';
import { busy } from './try-grant.ts';

/** What a holder gets for a sandbox that it reports. */
export interface ReplaceReported {
  /**
   * Ends the lease, and gives its key another one, or a place at the head of the line where nothing is free. `lost`: the
   * reported sandbox has changed; `other_lease`: the lease's key has another one, or that has changed, too. Throws `BUSY`.
   */
  now(
    reported: Reported,
    namePrefix: string | undefined,
    context: CallContext,
    deadline: AbortSignal,
  ): Promise<Turn | 'lost' | 'other_lease'>;
  /** What the key got when it was reported before. Throws `LEASE_OVER` and `PLACE_LOST`. */
  again(keyPk: string, deadline: AbortSignal): Promise<Turn>;
}

export interface ReplaceDeps {
  replacements: Replacements;
  readyList: Pick<ReadyList, 'take' | 'giveBack' | 'settle' | 'sweep'>;
  lineDeps: LineDeps;
  clock: Clock;
  newId: NewId;
  terms: LeaseRules;
  /** Sandboxes have changed: from what they were to what they are. */
  onChange: (change: Pick<Reported, 'seen' | 'next'> | ReturnType<typeof toGrant>) => void;
}

export function replaceReported(deps: ReplaceDeps): ReplaceReported {
  const { replacements, readyList, lineDeps, clock } = deps;

  /** Tries one candidate; undefined where another is to be tried. */
  async function tryLease(
    reported: Reported,
    request: LeaseRequest,
    context: CallContext,
    deadline: AbortSignal,
  ): Promise<Turn | 'lost' | 'other_lease' | 'none' | undefined> {
    const nowMs = clock.nowMs();
    const candidate = readyList.take(request.input.namePrefix, 'any');
    if (!candidate) return 'none';
    if (candidate.id === reported.seen.id) {
      // What was known of it is from before its lease.
      readyList.settle(candidate, 'lost');
      return undefined;
    }
    const grant = toGrant(deps, request, candidate, { attempt: deps.newId(), nowMs }, context);
    let outcome: Awaited<ReturnType<Replacements['lease']>> | undefined;
    try {
      outcome = await replacements.lease(reported, grant, deadline);
    } finally {
      if (outcome === 'written') readyList.settle(candidate, 'won');
      else if (outcome === 'taken') readyList.settle(candidate, 'lost');
      else if (outcome === 'key_moved') readyList.giveBack(candidate);
      else readyList.settle(candidate, 'open');
    }
    if (outcome === 'key_moved') return 'other_lease';
    if (outcome === 'lost') return 'lost';
    if (outcome === 'taken') return undefined;
    deps.onChange(reported);
    deps.onChange(grant);
    return { type: 'served', lease: toGranted(grant.key) };
  }

  /** Takes a place for a pool of which `proof` says that it has nothing free; undefined where that is not so any more. */
  async function tryPlace(
    reported: Reported,
    { keyPk, hash, explicitKey, input }: LeaseRequest,
    proof: LineState,
    context: CallContext,
    deadline: AbortSignal,
  ): Promise<Turn | 'lost' | 'other_lease' | undefined> {
    const nowMs = clock.nowMs();
    const place = await replacements.place(
      reported,
      {
        // However long the line may be: whoever had a lease was in front already.
        priority: HEAD_PRIORITY,
        keyPk,
        request: { ...input, hash, explicitKey },
        by: { actor: context.actor, requestId: context.requestId, correlationId: context.correlationId },
        attempt: deps.newId(),
        joinedAtMs: nowMs,
        aliveUntilMs: nowMs + lineDeps.patienceSeconds * 1000,
      },
      proof,
      deadline,
    );
    if (place === 'key_moved') return 'other_lease';
    if (place === 'line_moved') return undefined;
    if (place === 'lost') return 'lost';
    deps.onChange(reported);
    lineDeps.view.joined(place);
    lineDeps.onJoined();
    return await tellTurn(lineDeps, place);
  }

  return {
    async now(reported, namePrefix, context, deadline) {
      const record = await lineDeps.findKey(reported.seen.lease.idempotencyPk, deadline);
      if (record?.leaseId !== reported.seen.lease.leaseId) return 'other_lease';
      const request = requestOf(reported, record, namePrefix, deps.terms);
      while (!deadline.aborted) {
        const tried = await tryLease(reported, request, context, deadline);
        if (tried === undefined) continue;
        if (tried !== 'none') return tried;
        const proof = await lineDeps.line.state(deadline);
        const provenAtMs = performance.now();
        const sweep = await readyList.sweep(namePrefix, deadline);
        if (!sweep.exhausted || sweep.startedAtMs < provenAtMs) continue;
        const placed = await tryPlace(reported, request, proof, context, deadline);
        if (placed !== undefined) return placed;
      }
      throw busy();
    },

    async again(keyPk, deadline) {
      const record = await lineDeps.findKey(keyPk, deadline);
      if (record?.waits !== undefined) {
        const place = await lineDeps.line.find(record.waits, deadline);
        if (place) await keepPlace(lineDeps, place, { seconds: 0 }, deadline);
        return await tellTurn(lineDeps, placeOf(record.waits));
      }
      if (!record || isLeaseOver(record, clock.nowMs()) || !(await ensureCollected(lineDeps, record)))
        throw leaseOver();
      return { type: 'served', lease: toGranted(record) };
    },
  };
}

/** The request that has made the lease, as far as anybody remembers it: one that is as long, with the same promises. */
function requestOf(
  { seen: { lease } }: Reported,
  { requestHash }: KeyRecord,
  namePrefix: string | undefined,
  { maxLeaseSeconds }: LeaseRules,
): LeaseRequest {
  return {
    keyPk: lease.idempotencyPk,
    hash: requestHash,
    explicitKey: lease.keyRememberedUntil !== undefined,
    input: {
      principal: TRACK_PRINCIPAL,
      holder: lease.holder,
      lab: lease.lab,
      namePrefix,
      durationSeconds: Math.min(lease.expiresAt - lease.allocatedAt, maxLeaseSeconds),
      heartbeatSeconds: lease.heartbeat?.seconds,
    },
  };
}
