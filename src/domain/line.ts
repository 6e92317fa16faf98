import type { Actor } from './event.ts';
import type { AvailableSandbox, Sandbox } from './sandbox.ts';

/** What a place asks for: enough to lease a sandbox to it when its caller is between two calls. */
export interface PlaceRequest {
  principal: string;
  holder: string;
  lab?: string | undefined;
  namePrefix?: string | undefined;
  /** How long the lease shall last, seconds; absent: as long as a lease does unasked. */
  durationSeconds?: number | undefined;
  /** It promises signs of life this often, seconds. */
  heartbeatSeconds?: number | undefined;
  /** Hash of the request; another one under the same chosen key is refused. */
  hash: string;
  /** The caller chose the key. */
  explicitKey: boolean;
}

/** A place in the line: kept for as long as its caller goes on calling. Times are epoch milliseconds. */
export interface Place {
  /** Priority, number and key in one: sorts as the line is served. */
  ticket: string;
  /** The highest is served first, and within one whoever joined first. Callers choose 0 to 9. */
  priority: number;
  keyPk: string;
  request: PlaceRequest;
  /** The call that joined: the lease's event names it. */
  by: Actor;
  /** Unique to the call that joined. */
  attempt: string;
  joinedAtMs: number;
  /** Without another call until then the place is given up. */
  aliveUntilMs: number;
}

/**
 * What joining and freeing tell each other by. `seq`: the number of the last that has joined. `frees`: how often
 * sandboxes have become free.
 */
export interface LineState {
  seq: number;
  frees: number;
}

/** Of a table in which nobody has joined and nothing was freed. */
export const NO_STATE: LineState = { seq: 0, frees: 0 };

/** Of who has reported a sandbox as broken and waits for another: at the head of the line, before all that callers choose. */
export const HEAD_PRIORITY = 10;
/** How tickets of each priority begin, the highest first: so they sort. */
const RANKS = '.0123456789';

const PLACE_DIGITS = 13;
/** How every key's `pk` begins. */
const KEY_PK = 'I#';

/** The ticket of a place: the highest priority first, then by number. The key is the rest of its `pk`. */
export const ticketOf = (priority: number, number: number, keyPk: string): string =>
  `${RANKS[HEAD_PRIORITY - priority]}-${number.toString().padStart(PLACE_DIGITS, '0')}-${keyPk.slice(KEY_PK.length)}`;

export const priorityOf = (ticket: string): number => HEAD_PRIORITY - RANKS.indexOf(ticket.charAt(0));

/** The idempotency key that a ticket belongs to. */
export const keyPkOfTicket = (ticket: string): string =>
  `${KEY_PK}${ticket.slice('0-'.length + PLACE_DIGITS + 1)}`;

/** So far apart the clocks may be of who keeps a place alive and of who finds it dead, milliseconds. */
export const LINE_CLOCK_MARGIN_MS = 10_000;

/** Whether its caller has been silent for longer than a place is kept, by any clock that is not far off. */
export const isDead = ({ aliveUntilMs }: Place, nowMs: number): boolean =>
  aliveUntilMs + LINE_CLOCK_MARGIN_MS < nowMs;

export const fits = ({ request }: Place, sandboxName: string): boolean =>
  sandboxName.startsWith(request.namePrefix ?? '');

/** The sandbox was not free before, or not under this name. */
export const isFreeing = <Change extends { seen: Sandbox | undefined; next: Sandbox }>(
  change: Change,
): change is Change & { next: AvailableSandbox } =>
  change.next.status === 'available' &&
  (change.seen?.status !== 'available' || change.seen.name !== change.next.name);

/** A sandbox that is expected to be free at this time, epoch milliseconds, and not later. */
export interface Coming {
  name: string;
  atMs: number;
}

/** What is known of the sandboxes to come, and how fast the line has moved. */
export interface Forecast {
  /** The earliest first; not all need be known. */
  coming: readonly Coming[];
  /** How many places the line has gone forward within how long, milliseconds. */
  served: { places: number; withinMs: number };
}

/** Where a place stands, for what it asks for. */
export interface Turn {
  namePrefix?: string | undefined;
  /** Places before it that may take what it would take. */
  rivals: number;
}

/** How many of the places before the one of this index may take what it would take. */
export function rivalsOf(places: readonly Place[], index: number): number {
  const namePrefix = places[index]?.request.namePrefix;
  if (namePrefix === undefined) return index;
  return places.slice(0, index).filter(({ request: { namePrefix: other = '' } }) => {
    return namePrefix.startsWith(other) || other.startsWith(namePrefix);
  }).length;
}

/**
 * When a place is likely to be served, in whole seconds from now: by the sandboxes that are known to come and that it would
 * take, or at the pace of late, whichever is sooner. So it is never later than what is known to come. The pace says nothing to
 * who waits for a name. Null where neither says anything.
 */
export function etaSeconds(
  { namePrefix, rivals }: Turn,
  { coming, served }: Forecast,
  nowMs: number,
): number | null {
  const fitting = coming.filter(({ name }) => name.startsWith(namePrefix ?? ''));
  const known = fitting[rivals]?.atMs ?? Number.POSITIVE_INFINITY;
  const hasPace = served.places > 0 && namePrefix === undefined;
  const byPace = hasPace ? ((rivals + 1) * served.withinMs) / served.places : Number.POSITIVE_INFINITY;
  const ms = Math.min(Math.max(0, known - nowMs), byPace);
  return Number.isFinite(ms) ? Math.ceil(ms / 1000) : null;
}
