import { isLeaseOver } from '../../domain/lease.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { CallContext } from '../context.ts';
import { ensureCollected, type Kept, keepPlace, type LineDeps, type Wait } from '../line/wait-in-line.ts';
import { confirmLease } from './confirm-lease.ts';
import {
  answersWith,
  type FoundLease,
  type LeaseRequest,
  refuseOtherRequest,
  replay,
} from './lease-request.ts';
import type { OpenKeys } from './open-keys.ts';

/** What a key has for its caller: a lease, or a place in the line for who wants to wait. */
export interface KeyAnswers {
  /**
   * The place of who waits, as it was seen a moment ago, without reading anything: what has become of it shows while it
   * waits.
   */
  knownPlace(): Promise<Kept | undefined>;
  /** Reads the key. */
  find(): Promise<FoundLease | Kept | undefined>;
  /** What its record says; undefined where it has nothing (any more). */
  of(record: KeyRecord): Promise<FoundLease | Kept | undefined>;
  /** A ticket that the key still names, and whose place is gone. */
  goneTicket(): string | undefined;
}

interface Asked {
  request: LeaseRequest;
  attempt: string;
  wait: Wait | undefined;
  context: CallContext;
  signal: AbortSignal;
}

export function keyAnswers(
  deps: { lineDeps: LineDeps; openKeys: OpenKeys } & Parameters<typeof confirmLease>[0],
  { request, attempt, wait, context, signal }: Asked,
): KeyAnswers {
  const { lineDeps, openKeys } = deps;
  let goneTicket: string | undefined;
  const confirm = (found: FoundLease) => confirmLease(deps, found, { ...context, signal });

  async function ofPlace(ticket: string): Promise<Kept | undefined> {
    if (wait === undefined) return undefined;
    const place = await lineDeps.line.find(ticket, signal);
    if (place && (await keepPlace(lineDeps, place, wait, signal))) return place;
    goneTicket = ticket;
    return undefined;
  }

  async function knownPlace(): Promise<Kept | undefined> {
    const place = wait && wait.seconds > 0 ? lineDeps.view.placeOf(request.keyPk) : undefined;
    if (!wait || !place || (request.explicitKey && place.request.hash !== request.hash)) return undefined;
    return (await keepPlace(lineDeps, place, wait, signal)) ? place : undefined;
  }

  async function of(record: KeyRecord): Promise<FoundLease | Kept | undefined> {
    refuseOtherRequest(request, record);
    if (record.waits !== undefined) return await ofPlace(record.waits);
    const nowMs = lineDeps.clock.nowMs();
    const found = replay(request, record, attempt, nowMs);
    if (record.collectBy === undefined || found.leaseOver) return await confirm(found);
    // Nobody was told of it: it may be with the next by now.
    return (await ensureCollected(lineDeps, record)) ? { ...found, replayed: false } : undefined;
  }

  async function find(): Promise<FoundLease | Kept | undefined> {
    const record = await lineDeps.findKey(request.keyPk, signal);
    if (!record) return undefined;
    if (record.waits !== undefined) return await of(record);
    const nowMs = lineDeps.clock.nowMs();
    const isRemembered = (record.rememberedUntil ?? 0) * 1000 > nowMs;
    const isThere = isRemembered || !isLeaseOver(record, nowMs);
    if (!isThere || !answersWith(request, record, nowMs)) return undefined;
    openKeys.settle(request.keyPk);
    // What its key has is over by now, and the key says so or is free.
    return (await of(record)) ?? (await find());
  }

  return {
    of,
    find,
    knownPlace,
    goneTicket: () => goneTicket,
  };
}
