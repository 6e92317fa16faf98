import { StoreUnavailableError } from '../../domain/errors.ts';
import { type LineState, NO_STATE, type Place, ticketOf } from '../../domain/line.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import {
  CONDITION_FAILED,
  CONFLICT,
  isThrottle,
  StoreThrottledError,
  TransactionCancelledError,
} from '../dynamo/errors.ts';
import { createGroupCommit, type Verdict } from '../dynamo/group-commit.ts';
import { KEY_IS_FORGOTTEN, KEY_IS_FREE, KEY_WAITS_NOT } from '../sandboxes/conditions.ts';
import { type KeyRecord, toKeyRecord, toWaitingKeyItem } from '../sandboxes/idempotency.ts';
import { putState, toLineState, toPlaceItem } from './place-items.ts';

/** A place as it is before it has its number. */
export interface Joiner {
  place: Omit<Place, 'ticket'>;
  /** The state of the line from before the pool was looked at, and found to have nothing for this one. */
  proof: LineState;
  /** A ticket that the key still names, and whose place is gone. */
  gone?: string | undefined;
}

/**
 * `key_taken`: it has a lease, or another place. `pool_changed`: something has become free since the pool was looked at;
 * `state` is the line's state by now.
 */
export type JoinOutcome =
  | { type: 'joined'; place: Place }
  | { type: 'key_taken'; record: KeyRecord }
  | { type: 'pool_changed'; state: LineState };

export type Join = (joiner: Joiner, signal: AbortSignal) => Promise<JoinOutcome>;

/** With two items each, and one for the line's state. DynamoDB allows 100 to a transaction. */
const JOINS_PER_TRANSACTION = 40;
const NO_TICKET = '-';

/**
 * Gives places in the line, numbered in the order in which they are given, over all replicas and whatever their clocks
 * say: all write one record, whose number only ever grows. One transaction of this process is under way at a time; those
 * who come meanwhile share the next one.
 */
export function createJoin(client: StoreClient): Join {
  /** As it was last seen: where it has moved on, the store says so, and how. */
  let known = NO_STATE;
  /** Somebody else writes the state at this moment; on the monotonic clock. */
  let notBeforeMs = 0;

  function itemsOf(joiners: readonly Joiner[]): { items: TransactItems; places: Place[] } {
    const { table } = client;
    const places = joiners.map(({ place }, index) => ({
      ...place,
      ticket: ticketOf(place.priority, known.seq + 1 + index, place.keyPk),
    }));
    const state = putState(table, known, known.seq + places.length);
    const ofPlaces = places.flatMap((place, index) => [
      {
        Put: {
          TableName: table,
          Item: toWaitingKeyItem(place),
          ConditionExpression: `(${place.request.explicitKey ? KEY_IS_FORGOTTEN : KEY_IS_FREE}) AND ${KEY_WAITS_NOT}`,
          ExpressionAttributeValues: {
            ':now': Math.floor(place.joinedAtMs / 1000),
            ':gone': joiners[index]?.gone ?? NO_TICKET,
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
        },
      },
      { Put: { TableName: table, Item: toPlaceItem(place) } },
    ]);
    return { items: [state, ...ofPlaces], places };
  }

  async function send(joiners: Joiner[], signal: AbortSignal): Promise<Verdict<JoinOutcome>[]> {
    known = joiners.reduce((newest, { proof }) => later(newest, proof), known);
    // What one has proven says nothing about a pool that has changed since.
    const going = joiners.filter(({ proof }) => proof.frees === known.frees);
    const verdicts = await attempt(going, signal);
    return joiners.map(
      (joiner) => verdicts.get(joiner) ?? { result: { type: 'pool_changed', state: known } },
    );
  }

  async function attempt(
    joiners: readonly Joiner[],
    signal: AbortSignal,
  ): Promise<Map<Joiner, Verdict<JoinOutcome>>> {
    if (joiners.length === 0) return new Map();
    const { items, places } = itemsOf(joiners);
    const all = (verdict: (joiner: Joiner, index: number) => Verdict<JoinOutcome>) =>
      new Map(joiners.map((joiner, index) => [joiner, verdict(joiner, index)]));
    try {
      await client.transact(items, signal);
      known = { ...known, seq: known.seq + joiners.length };
      return all((_, index) => ({ result: { type: 'joined', place: places[index] as Place } }));
    } catch (error) {
      if (error instanceof StoreThrottledError) return all(() => 'later');
      if (!(error instanceof TransactionCancelledError)) throw error;
      const [state, ...others] = error.reasons;
      const before = known;
      if (state?.code === CONDITION_FAILED) known = toLineState(state.item);
      else if (error.reasons.some((reason) => reason.code === CONFLICT || isThrottle(reason))) {
        notBeforeMs = performance.now() + 5 + Math.random() * 20;
      } else if (others.every((reason) => reason.code !== CONDITION_FAILED)) throw error;
      return all((joiner, index) => {
        const key = others[2 * index];
        if (key?.code === CONDITION_FAILED && key.item) {
          return { result: toTaken(joiner, toKeyRecord(key.item)) };
        }
        const isChanged = known.frees !== before.frees;
        return isChanged ? { result: { type: 'pool_changed', state: known } } : 'later';
      });
    }
  }

  const commit = createGroupCommit<Joiner, JoinOutcome>({
    calls: 1,
    size: JOINS_PER_TRANSACTION,
    touches: ({ place }) => [place.keyPk],
    readiness: () => ({ waitMs: Math.max(0, notBeforeMs - performance.now()) }),
    send,
    concernsAll: (error) => error instanceof StoreUnavailableError,
  });

  return async (joiner, signal) => {
    try {
      return await commit(joiner, signal);
    } catch (error) {
      throw signal.aborted && error === signal.reason ? new StoreUnavailableError(error) : error;
    }
  };
}

const later = (one: LineState, other: LineState): LineState =>
  other.frees > one.frees || (other.frees === one.frees && other.seq > one.seq) ? other : one;

/** Whoever has the key; our own place, where the answer to our own transaction was lost. */
function toTaken({ place }: Joiner, record: KeyRecord): JoinOutcome {
  if (record.waits === undefined || record.attempt !== place.attempt) return { type: 'key_taken', record };
  return { type: 'joined', place: { ...place, ticket: record.waits } };
}
