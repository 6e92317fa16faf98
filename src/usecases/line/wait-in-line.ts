import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { isLeaseOver } from '../../domain/lease.ts';
import { type Coming, etaSeconds, keyPkOfTicket, type LineState, type Place } from '../../domain/line.ts';
import type { LineStore } from '../../store/line/line.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import { limitTime } from '../../time-limit.ts';
import type { CallContext } from '../context.ts';
import { type GrantedLease, type LeaseRequest, toGranted } from '../leases/lease-request.ts';
import type { LineServer } from './free-through-line.ts';
import type { LineView, Standing } from './line-view.ts';
import type { Waiters } from './waiters.ts';

/** How a caller wants to wait. */
export interface Wait {
  /** For how long the call may last, seconds; 0: only to have a place. */
  seconds: number;
  /** 0 to 9. */
  priority: number;
  /** Fires when the caller goes away. Its place stays. */
  gone: AbortSignal;
}

/** A caller that has a place, and no sandbox as yet. */
export interface InLine extends Pick<Standing, 'position' | 'waiting'> {
  ticket: string;
  /** When its turn is expected, seconds from now; null: nobody knows. */
  etaSeconds: number | null;
  /** The part of the call for which it waited, milliseconds. */
  waitedMs?: number;
}

/** What the line is kept with. */
export interface LineDeps {
  line: LineStore;
  server: Pick<LineServer, 'collect'>;
  view: LineView;
  waiters: Waiters;
  findKey: (pk: string, signal: AbortSignal) => Promise<KeyRecord | undefined>;
  coming: () => Promise<readonly Coming[]>;
  clock: Clock;
  /** How long a place is kept after the end of its caller's last call, seconds. */
  patienceSeconds: number;
  maxPlaces: number;
  /** Fires when this process stops: whoever waits is told where it stands. */
  stopping: AbortSignal;
  /** Somebody waits: from now on the line is looked after. */
  onJoined: () => void;
}

/** The place of a key, to be waited at. */
export type Kept = Pick<Place, 'ticket' | 'keyPk'>;

export type JoinLine = (
  request: LeaseRequest,
  options: { attempt: string; proof: LineState; wait: Wait; gone?: string | undefined },
  context: CallContext,
  signal: AbortSignal,
) => Promise<Kept | { record: KeyRecord } | 'pool_changed'>;

/** Takes a place at the end of the line, for a pool of which `proof` says that it has nothing free. Throws `LINE_FULL`. */
export function joinLine(deps: LineDeps): JoinLine {
  return async (request, { attempt, proof, wait, gone }, context, signal) => {
    if (await isFull(deps)) throw lineFull(deps.maxPlaces);
    const nowMs = deps.clock.nowMs();
    const { idempotencyKey: _key, ...input } = request.input;
    const { hash, explicitKey } = request;
    const outcome = await deps.line.join(
      {
        place: {
          priority: wait.priority,
          keyPk: request.keyPk,
          request: { ...input, hash, explicitKey },
          by: {
            actor: context.actor,
            requestId: context.requestId,
            correlationId: context.correlationId,
          },
          attempt,
          joinedAtMs: nowMs,
          aliveUntilMs: aliveUntilMs(deps, wait, nowMs),
        },
        proof,
        gone,
      },
      signal,
    );
    deps.onJoined();
    switch (outcome.type) {
      case 'joined':
        deps.view.joined(outcome.place);
        return outcome.place;
      case 'key_taken':
        return { record: outcome.record };
      case 'pool_changed':
        return 'pool_changed';
    }
  };
}

/** Where the line seems full it is looked at: what was known of it may be long ago. */
const isFull = async ({ view, maxPlaces }: LineDeps): Promise<boolean> =>
  view.length() >= maxPlaces && (await view.whole()).length >= maxPlaces;

const LINE_FULL_RETRY_AFTER_SECONDS = 30;

const lineFull = (maxPlaces: number) =>
  new BrokerError('LINE_FULL', `The line is full: ${maxPlaces} wait already.`, {
    retryAfterSeconds: LINE_FULL_RETRY_AFTER_SECONDS,
  });

const aliveUntilMs = ({ patienceSeconds }: LineDeps, wait: Pick<Wait, 'seconds'>, nowMs: number): number =>
  nowMs + (wait.seconds + patienceSeconds) * 1000;

/** Its caller calls again: the place, as it was last seen, lives on. False: it is gone. */
export async function keepPlace(
  deps: LineDeps,
  place: Place,
  wait: Pick<Wait, 'seconds'>,
  signal: AbortSignal,
): Promise<boolean> {
  deps.onJoined();
  const untilMs = aliveUntilMs(deps, wait, deps.clock.nowMs());
  const isLongEnough = place.aliveUntilMs >= untilMs - (deps.patienceSeconds * 1000) / 2;
  return isLongEnough || (await deps.line.keepAlive(place.ticket, untilMs, signal));
}

/** What has become of a place. */
export type Turn = { type: 'waiting'; inLine: InLine } | { type: 'served'; lease: GrantedLease };

/** Waits at a place until its turn, or for as long as the caller wants. Throws `PLACE_LOST`. */
export type AwaitTurn = (place: Kept, wait: Wait) => Promise<Turn>;

export function awaitTurn(deps: LineDeps): AwaitTurn {
  const { waiters } = deps;

  return async (place, wait) => {
    const limit = limitTime(wait.seconds * 1000, AbortSignal.any([wait.gone, deps.stopping]));
    try {
      while (wait.seconds > 0 && !limit.signal.aborted) {
        await waiters.wait(place, limit.signal);
        if (limit.signal.aborted) break;
        const lease = await findTurn(deps, place);
        if (lease) return { type: 'served', lease };
      }
      // Nobody is there to be told where it stands, or no time for asking.
      const isOver = wait.gone.aborted || deps.stopping.aborted;
      return isOver ? { type: 'waiting', inLine: lastKnown(deps, place) } : await tellTurn(deps, place);
    } finally {
      limit.clear();
    }
  };
}

const lastKnown = ({ view }: LineDeps, { ticket }: Kept): InLine => ({
  ticket,
  ...view.lastStanding(ticket),
  etaSeconds: null,
});

/** Where a place stands, or the lease that it got. Throws `PLACE_LOST`. */
export async function tellTurn(deps: LineDeps, place: Kept): Promise<Turn> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const standing = await deps.view.standing(place.ticket);
    if (standing) return { type: 'waiting', inLine: await withEta(deps, place.ticket, standing) };
    const lease = await findTurn(deps, place);
    if (lease) return { type: 'served', lease };
  }
  return { type: 'waiting', inLine: lastKnown(deps, place) };
}

/** Looks that may each have begun before the place was there. */
const MAX_TRIES = 3;
const NEVER = new AbortController().signal;

export async function withEta(deps: LineDeps, ticket: string, standing: Standing): Promise<InLine> {
  const forecast = { coming: await deps.coming(), served: deps.view.served() };
  return { ticket, ...standing, etaSeconds: etaSeconds(standing, forecast, deps.clock.nowMs()) };
}

/** The lease that a place got; undefined while it waits. Throws `PLACE_LOST` where it has come to nothing. */
async function findTurn(deps: LineDeps, { ticket, keyPk }: Kept): Promise<GrantedLease | undefined> {
  const record = await deps.findKey(keyPk, NEVER);
  if (record?.waits === ticket) return undefined;
  const isLease =
    record?.waits === undefined && record !== undefined && !isLeaseOver(record, deps.clock.nowMs());
  if (isLease && (await ensureCollected(deps, record))) return toGranted(record);
  throw new BrokerError(
    'PLACE_LOST',
    'The place in the line is gone: it was left, or an operator took it away. Ask again for a new one.',
    { retryAfterSeconds: 1 },
  );
}

/** A lease that nobody was told of is collected first: until then it may go to the next. False: it has gone. */
export const ensureCollected = async (
  { server }: Pick<LineDeps, 'server'>,
  record: KeyRecord,
): Promise<boolean> => record.collectBy === undefined || (await server.collect(record));

export const placeOf = (ticket: string): Kept => ({ ticket, keyPk: keyPkOfTicket(ticket) });
