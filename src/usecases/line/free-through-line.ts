import pLimit from 'p-limit';
import type { Clock, NewId } from '../../clock.ts';
import { type Actor, eventOf } from '../../domain/event.ts';
import type { LeaseRules } from '../../domain/lease.ts';
import { fits, isDead, isFreeing, type LineState, NO_STATE, type Place } from '../../domain/line.ts';
import { passOn } from '../../domain/quarantine.ts';
import type { AllocatedSandbox, AvailableSandbox } from '../../domain/sandbox.ts';
import { collect } from '../../domain/transitions.ts';
import type { Item } from '../../store/dynamo/documents.ts';
import type { HandOvers } from '../../store/line/hand-over.ts';
import type { LineStore } from '../../store/line/line.ts';
import type { Change, Freeing } from '../../store/sandboxes/changes.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { toGrant } from '../leases/lease-request.ts';

/** How a place ended. `given_up`: its caller called no more; `uncollected`: it was served, and nobody came for it. */
export type PlaceEnding = 'served' | 'given_up' | 'left' | 'removed' | 'uncollected';

export interface FreeThroughLineDeps {
  store: SandboxStore;
  line: Pick<LineStore, 'page' | 'remove' | 'dropStray'>;
  handOvers: HandOvers;
  clock: Clock;
  newId: NewId;
  terms: LeaseRules;
  /** How long a lease waits for a caller who is not waiting at this moment, seconds. */
  claimSeconds: number;
  /** Whether the key's caller waits here at this moment: then it is told at once. */
  isHere: (keyPk: string) => boolean;
  /** A place was served; the lease is one to be collected unless its caller is here. */
  onServed: (place: Place, leased: AllocatedSandbox) => void;
  onEnded: (ending: PlaceEnding, place: Place, nowMs: number) => void;
  /** A sandbox has become free, or gone to a place: from what it was to what it is. */
  onHandOver: (change: Pick<Change, 'seen' | 'next'>) => void;
}

/** A sandbox store by which whatever becomes free goes to who waits for it, in the very transaction that frees it. */
export interface LineServer extends SandboxStore {
  /** Gives a free sandbox to the first place that it fits; false: to nobody. */
  offer(seen: AvailableSandbox, signal?: AbortSignal): Promise<boolean>;
  /** Ends a lease that nobody has collected; false: somebody has, or it is over. */
  passOn(seen: AllocatedSandbox, by: Actor, signal?: AbortSignal): Promise<boolean>;
  /** The caller is told of its lease; false: it has gone to somebody else. */
  collect(record: KeyRecord, signal?: AbortSignal): Promise<boolean>;
}

/** Places are read so many at a time: one of the first is the right one, unless they ask for names. */
const PAGE = 50;

/**
 * `store`, by which a sandbox that becomes free goes to the first living place that it fits: from one status into the
 * lease, with the events of both steps. Only where no place fits it does it become free; should anybody join meanwhile,
 * that fails, and the line is read again. Dead places that are met are removed first, so that none of them comes back to
 * life after it was passed over.
 */
export function freeThroughLine(deps: FreeThroughLineDeps): LineServer {
  const { store, line, handOvers, clock } = deps;
  /** One after the other: two sandboxes would go for the same place, or for the line's one record. */
  const inTurn = pLimit(1);
  /** The line was found empty in this state, since then (on the monotonic clock). */
  let empty: { state: LineState; sinceMs: number } | undefined;
  /** The state of an empty line that need not be read again: a place of a transaction under way would show by now. */
  const settled = () =>
    empty && performance.now() - empty.sinceMs >= SETTLED_AFTER_MS ? empty.state : undefined;

  function noteEmpty(state: LineState): void {
    if (empty?.state.seq !== state.seq) empty = { state, sinceMs: performance.now() };
  }

  /** Removes dead places; false: one of them was served by others, or its caller has called. */
  async function bury(dead: readonly Place[], nowMs: number, signal?: AbortSignal): Promise<boolean> {
    const removed = await line.remove(dead, signal);
    for (const place of removed) deps.onEnded('given_up', place, nowMs);
    return removed.length === dead.length;
  }

  /** The first living place that a name fits; or the state that a line had in which there is none. */
  async function findPlace(name: string, signal?: AbortSignal): Promise<Place | LineState> {
    const nowMs = clock.nowMs();
    let state = NO_STATE;
    let after: Item | undefined;
    let isEmpty = true;
    do {
      const isFirst = after === undefined;
      const page = await line.page({ limit: PAGE, after }, signal);
      if (isFirst) state = page.state;
      after = page.after;
      const index = page.places.findIndex((place) => !isDead(place, nowMs) && fits(place, name));
      const before = index < 0 ? page.places : page.places.slice(0, index);
      const dead = before.filter((place) => isDead(place, nowMs));
      if (!(await bury(dead, nowMs, signal))) return await findPlace(name, signal);
      const found = page.places[index];
      if (found) return found;
      isEmpty &&= dead.length === before.length;
    } while (after);
    if (isEmpty) noteEmpty(state);
    else empty = undefined;
    return state;
  }

  function toHandOver(change: Freeing, place: Place) {
    const nowMs = clock.nowMs();
    const { keyPk, request, attempt, ticket, by } = place;
    const { hash, explicitKey, ...input } = request;
    const context = { ...by, signal: new AbortController().signal };
    const grant = toGrant(
      deps,
      { keyPk, hash, explicitKey, input },
      change.next,
      { attempt, nowMs },
      context,
    );
    const collectBy = deps.isHere(keyPk) ? undefined : Math.ceil(nowMs / 1000) + deps.claimSeconds;
    const next: AllocatedSandbox = { ...grant.next, lease: { ...grant.next.lease, collectBy } };
    return { change, place, grant: { ...grant, next, key: { ...grant.key, ticket, collectBy } } };
  }

  function tellFreed(change: Change): 'freed' {
    deps.onHandOver(change);
    return 'freed';
  }

  /** Gives what `change` frees to a place, or frees it if `orElse` says so. */
  async function serveOrFree(
    change: Freeing,
    orElse: 'free' | 'leave',
    signal?: AbortSignal,
  ): Promise<'served' | 'freed' | 'left' | 'lost'> {
    let goneTicket: string | undefined;
    for (;;) {
      const found = await findPlace(change.next.name, signal);
      if (!('ticket' in found)) {
        if (orElse === 'leave') return 'left';
        const freed = await handOvers.free(change, found, signal);
        if (freed === 'line_moved') continue;
        return freed === 'written' ? tellFreed(change) : 'lost';
      }
      const handOver = toHandOver(change, found);
      const served = await handOvers.serve(handOver, signal);
      if (served === 'lost') return 'lost';
      if (served === 'place_gone') {
        // Gone, and there again: its key has a lease by other means, and nobody stands at the place.
        if (found.ticket === goneTicket) await line.dropStray(found, signal);
        goneTicket = found.ticket;
        continue;
      }
      const { next, nowMs } = handOver.grant;
      deps.onHandOver({ seen: change.seen, next });
      deps.onServed(found, next);
      deps.onEnded('served', found, nowMs);
      return 'served';
    }
  }

  async function free(change: Freeing, signal?: AbortSignal): Promise<boolean> {
    const emptyLine = settled();
    if (emptyLine) {
      // With all others of this moment: they share a transaction.
      const freed = await handOvers.free(change, emptyLine, signal);
      if (freed !== 'line_moved') return freed === 'written' && tellFreed(change) === 'freed';
      if (empty?.state === emptyLine) empty = undefined;
    }
    return await inTurn(async () => {
      const outcome = await serveOrFree(change, 'free', signal);
      // Real stores may show one part of a transaction before another: who has joined meanwhile is seen by now.
      if (outcome === 'freed') await offer(change.next, signal);
      return outcome !== 'lost';
    });
  }

  const offer = async (seen: AvailableSandbox, signal?: AbortSignal) =>
    (await serveOrFree({ seen, next: seen }, 'leave', signal)) === 'served';

  const write: SandboxStore['write'] = async (change, signal) => {
    if (!isFreeing(change)) return await store.write(change, signal);
    return await free(change, signal);
  };

  return {
    get: store.get,
    grant: store.grant,
    grantSeveral: store.grantSeveral,
    bucketPace: store.bucketPace,
    write,
    writeAll(changes, options) {
      const alone = new Set<Change>();
      return store.writeAll(changes, {
        ...options,
        writeOne(change, signal) {
          alone.add(change);
          return write(change, signal);
        },
        onSettled(change, isWritten) {
          if (isWritten && isFreeing(change) && !alone.has(change)) tellFreed(change);
          options?.onSettled?.(change, isWritten);
        },
        async guard(some) {
          if (!some.some(isFreeing)) return [];
          if (!settled()) await inTurn(() => findPlace(NO_NAME, options?.signal));
          return empty ? handOvers.freeing(empty.state) : 'one_by_one';
        },
      });
    },

    offer: (seen, signal) => inTurn(() => offer(seen, signal)),

    passOn(seen, by, signal) {
      const next = passOn(seen, clock.nowMs());
      return write({ seen, next, event: eventOf(seen, next, 'pass_on', by) }, signal);
    },

    async collect(record, signal) {
      for (;;) {
        const seen = await store.get(record.sandboxId, signal);
        if (seen?.status !== 'allocated' || seen.lease.leaseId !== record.leaseId) return false;
        if (seen.lease.collectBy === undefined) return true;
        if (await handOvers.collect(seen, collect(seen, clock.nowMs()), signal)) return true;
      }
    },
  };
}

/** Longer than the parts of one transaction come to be seen one after the other. */
const SETTLED_AFTER_MS = 1_000;

/** What nobody asks for: only whether anybody waits is of interest. */
const NO_NAME = '';
