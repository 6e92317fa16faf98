import { type LineState, NO_STATE, type Place } from '../../domain/line.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import type { Item } from '../dynamo/documents.ts';
import {
  CONDITION_FAILED,
  ConditionFailedError,
  isConflict,
  TransactionCancelledError,
} from '../dynamo/errors.ts';
import { IS_THERE, IS_UNCHANGED_PLACE, KEY_WAITS } from '../sandboxes/conditions.ts';
import { idempotencyKey, LINE_PK, LINE_STATE_KEY, placeKey } from '../sandboxes/keys.ts';
import { createJoin, type Join } from './joins.ts';
import { toLineState, toPlace } from './place-items.ts';

/** A part of the line in its order. */
export interface LinePage {
  /** Read before the places were; only of the first page. */
  state: LineState;
  places: Place[];
  /** Absent when there are no more. */
  after?: Item | undefined;
}

/** The line as the table has it. Every read is strongly consistent. */
export interface LineStore {
  state(signal?: AbortSignal): Promise<LineState>;
  /** One page of the line, from its head or from behind `after`. */
  page(query: { limit?: number; after?: Item | undefined }, signal?: AbortSignal): Promise<LinePage>;
  join: Join;
  /** A place, as long as it is there. */
  find(ticket: string, signal?: AbortSignal): Promise<Place | undefined>;
  /** Its caller has called; false: the place is gone. */
  keepAlive(ticket: string, untilMs: number, signal?: AbortSignal): Promise<boolean>;
  /**
   * Takes places out of the line, as they were read. Returns those that were taken out: the others were served or removed by
   * others, or their callers have called meanwhile.
   */
  remove(places: readonly Place[], signal?: AbortSignal): Promise<Place[]>;
  /** Removes a place at which its key does not wait (any more). */
  dropStray(place: Place, signal?: AbortSignal): Promise<void>;
}

/** With two items each. */
const REMOVALS_PER_TRANSACTION = 50;

/** `onUnreadable` is told of a place that cannot be read: it is passed over. */
export function createLineStore(
  client: StoreClient,
  onUnreadable: (sortKey: unknown, error: unknown) => void,
): LineStore {
  function readPlace(item: Item): Place[] {
    try {
      return [toPlace(item)];
    } catch (error) {
      onUnreadable(item.sk, error);
      return [];
    }
  }

  const atPlace = ({ ticket, aliveUntilMs }: Place) => ({
    TableName: client.table,
    Key: placeKey(ticket),
    ConditionExpression: IS_UNCHANGED_PLACE,
    ExpressionAttributeValues: { ':alive': aliveUntilMs },
  });
  const atKey = ({ keyPk, ticket }: Place) => ({
    TableName: client.table,
    Key: idempotencyKey(keyPk),
    ConditionExpression: KEY_WAITS,
    ExpressionAttributeValues: { ':ticket': ticket },
  });
  const toRemoval = (place: Place) => [{ Delete: atPlace(place) }, { Delete: atKey(place) }];

  async function removeOne(place: Place, signal?: AbortSignal): Promise<boolean> {
    const attempt = async (): Promise<boolean | 'conflict'> => {
      try {
        await client.transact(toRemoval(place), signal);
        return true;
      } catch (error) {
        if (!(error instanceof TransactionCancelledError)) throw error;
        const [ofPlace, ofKey] = error.reasons;
        if (ofPlace?.code === CONDITION_FAILED) return false;
        if (ofKey?.code === CONDITION_FAILED) return await deleteAlone(place, signal);
        if (isConflict(error.reasons)) return 'conflict';
        throw error;
      }
    };
    return (await retryConflicts(attempt, { signal })) === true;
  }

  async function removeTogether(places: readonly Place[], signal?: AbortSignal): Promise<boolean> {
    try {
      await client.transact(places.flatMap(toRemoval), signal);
      return true;
    } catch (error) {
      if (error instanceof TransactionCancelledError) return false;
      throw error;
    }
  }

  /** Its key has a lease of its own by now, or was taken away: nobody stands at it. */
  async function deleteAlone(place: Place, signal?: AbortSignal): Promise<boolean> {
    try {
      await client.delete(atPlace(place), signal);
      return true;
    } catch (error) {
      if (error instanceof ConditionFailedError) return false;
      throw error;
    }
  }

  return {
    state: async (signal) => toLineState(await client.get(LINE_STATE_KEY, signal)),

    async page({ limit, after }, signal) {
      const { items, lastKey } = await client.query(
        {
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': LINE_PK },
          ...(limit !== undefined && { Limit: limit }),
          ...(after && { ExclusiveStartKey: after }),
        },
        signal,
      );
      const isState = ({ sk }: Item) => sk === LINE_STATE_KEY.sk;
      const state = items.find(isState);
      return {
        state: state ? toLineState(state) : NO_STATE,
        places: items.filter((item) => !isState(item)).flatMap(readPlace),
        after: lastKey,
      };
    },

    join: createJoin(client),

    async find(ticket, signal) {
      const item = await client.get(placeKey(ticket), signal);
      return item && toPlace(item);
    },

    async keepAlive(ticket, untilMs, signal) {
      try {
        await client.update(
          {
            Key: placeKey(ticket),
            UpdateExpression: 'SET alive_until_ms = :until',
            ConditionExpression: IS_THERE,
            ExpressionAttributeValues: { ':until': untilMs },
          },
          signal,
        );
        return true;
      } catch (error) {
        if (error instanceof ConditionFailedError) return false;
        throw error;
      }
    },

    async remove(places, signal) {
      const removed: Place[] = [];
      for (let start = 0; start < places.length; start += REMOVALS_PER_TRANSACTION) {
        const some = places.slice(start, start + REMOVALS_PER_TRANSACTION);
        const isTogether = some.length > 1 && haveOwnKeys(some) && (await removeTogether(some, signal));
        if (isTogether) removed.push(...some);
        else for (const place of some) if (await removeOne(place, signal)) removed.push(place);
      }
      return removed;
    },

    async dropStray(place, signal) {
      const key = await client.get(idempotencyKey(place.keyPk), signal);
      if (key?.waits !== place.ticket) await deleteAlone(place, signal);
    },
  };
}

/** A key may have left a place behind that nobody has met since, and a transaction takes one word about an item. */
const haveOwnKeys = (places: readonly Place[]): boolean =>
  new Set(places.map(({ keyPk }) => keyPk)).size === places.length;
