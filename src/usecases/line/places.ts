import { BrokerError } from '../../domain/errors.ts';
import { isLeaseOver } from '../../domain/lease.ts';
import { etaSeconds, keyPkOfTicket, type Place } from '../../domain/line.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import type { CallContext } from '../context.ts';
import type { LineServer, PlaceEnding } from './free-through-line.ts';
import { standingAt } from './line-view.ts';
import { type InLine, keepPlace, type LineDeps, placeOf, type Turn, tellTurn } from './wait-in-line.ts';

export interface PlacesDeps extends LineDeps {
  store: Pick<SandboxStore, 'get'>;
  server: Pick<LineServer, 'collect' | 'passOn'>;
  keyPk: (principal: string, holder: string, key: string) => string;
  onEnded: (ending: PlaceEnding, place: Place, nowMs: number) => void;
}

/** A place, and where it stands. */
export type ListedPlace = Place & Pick<InLine, 'position' | 'etaSeconds'>;

/** A holder's own place. Every call throws `TICKET_NOT_FOUND`, also for somebody else's, and `STORE_UNAVAILABLE`. */
export interface Places {
  /** Where it stands, or the lease that it got; like every call, it keeps the place. */
  look(input: { ticket: string; holder: string }, context: CallContext): Promise<Turn>;
  /** The ticket of the place that a call under this key has, or had. */
  ticketOf(
    input: { principal: string; holder: string; idempotencyKey?: string | undefined },
    context: CallContext,
  ): Promise<string>;
  /** Gives it up. Throws `INVALID_STATE` once the lease is the holder's. */
  leave(input: { ticket: string; holder: string }, context: CallContext): Promise<void>;
  /** A part of the line, from behind the ticket `after` on, for operators. */
  list(
    input: { limit: number; after?: string | undefined },
    context: CallContext,
  ): Promise<{ places: ListedPlace[]; waiting: number; isMore: boolean }>;
  /** The first of the line as this replica knows it; the line is not read. */
  known(limit: number): Promise<{ places: ListedPlace[]; waiting: number }>;
  /** An operator takes a place away. */
  remove(ticket: string, context: CallContext): Promise<void>;
}

export function createPlaces(deps: PlacesDeps): Places {
  async function find(ticket: string, holder: string | undefined, signal: AbortSignal): Promise<Place> {
    const place = await deps.line.find(ticket, signal);
    if (!place || (holder !== undefined && place.request.holder !== holder)) throw ticketNotFound();
    return place;
  }

  /** The lease that the ticket got, in force, if the holder has it. */
  async function findLease(ticket: string, holder: string, signal: AbortSignal) {
    const record = await deps.findKey(keyPkOfTicket(ticket), signal);
    if (record?.ticket !== ticket || isLeaseOver(record, deps.clock.nowMs())) throw ticketNotFound();
    const sandbox = await deps.store.get(record.sandboxId, signal);
    const isHeld = sandbox?.status === 'allocated' && isSameLease(sandbox.lease, record);
    if (!isHeld || sandbox.lease.holder !== holder) throw ticketNotFound();
    return sandbox;
  }

  async function takeOut(
    ticket: string,
    ending: PlaceEnding,
    holder: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      const place = await find(ticket, holder, signal);
      const [removed] = await deps.line.remove([place], signal);
      if (!removed) continue;
      deps.onEnded(ending, place, deps.clock.nowMs());
      deps.view.gone(place.keyPk);
      deps.waiters.call(place.keyPk);
      return;
    }
  }

  async function withStanding(all: readonly Place[], from: number, to: number): Promise<ListedPlace[]> {
    const forecast = { coming: await deps.coming(), served: deps.view.served() };
    const nowMs = deps.clock.nowMs();
    return all.slice(from, to).map((place, index) => {
      const standing = standingAt(all, from + index);
      return { ...place, position: standing.position, etaSeconds: etaSeconds(standing, forecast, nowMs) };
    });
  }

  return {
    async look({ ticket, holder }, { signal }) {
      const place = await deps.line.find(ticket, signal);
      if (place && place.request.holder !== holder) throw ticketNotFound();
      if (!place || !(await keepPlace(deps, place, { seconds: 0 }, signal))) {
        await findLease(ticket, holder, signal);
      }
      return await tellTurn(deps, placeOf(ticket));
    },

    async ticketOf({ principal, holder, idempotencyKey = holder }, { signal }) {
      const record = await deps.findKey(deps.keyPk(principal, holder, idempotencyKey), signal);
      const ticket = record?.waits ?? record?.ticket;
      if (ticket === undefined) throw ticketNotFound();
      return ticket;
    },

    async leave({ ticket, holder }, context) {
      const place = await deps.line.find(ticket, context.signal);
      if (place) return await takeOut(ticket, 'left', holder, context.signal);
      for (;;) {
        const sandbox = await findLease(ticket, holder, context.signal);
        if (sandbox.lease.collectBy === undefined) throw alreadyServed(sandbox.id);
        // Served, and not told of it: whoever leaves does not want it.
        if (await deps.server.passOn(sandbox, context, context.signal)) return;
      }
    },

    async list({ limit, after }) {
      const { places: all } = await deps.view.look('whole');
      const found = after === undefined ? 0 : all.findIndex(({ ticket }) => ticket > after);
      const from = found < 0 ? all.length : found;
      const places = await withStanding(all, from, from + limit);
      return { places, waiting: all.length, isMore: from + limit < all.length };
    },

    async known(limit) {
      const { places: all } = deps.view;
      return { places: all.length === 0 ? [] : await withStanding(all, 0, limit), waiting: all.length };
    },

    remove: (ticket, { signal }) => takeOut(ticket, 'removed', undefined, signal),
  };
}

const isSameLease = (lease: { leaseId: string }, record: KeyRecord): boolean =>
  lease.leaseId === record.leaseId;

const alreadyServed = (sandboxId: string) =>
  new BrokerError(
    'INVALID_STATE',
    `The place was served: give ${sandboxId} back by marking it for deletion.`,
    { details: { sandbox_id: sandboxId } },
  );

const ticketNotFound = () =>
  new BrokerError(
    'TICKET_NOT_FOUND',
    'There is no such place in the line (any more): it was served, left, given up, or is not yours.',
  );
