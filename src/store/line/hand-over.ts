import type { NewId } from '../../clock.ts';
import type { LineState, Place } from '../../domain/line.ts';
import type { AllocatedSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { CONDITION_FAILED, isConflict, TransactionCancelledError } from '../dynamo/errors.ts';
import { type Change, createChangeItems } from '../sandboxes/changes.ts';
import { IS_THERE, KEY_IS_OF_LEASE, KEY_WAITS, NOBODY_HAS_JOINED } from '../sandboxes/conditions.ts';
import { putEvent } from '../sandboxes/events.ts';
import type { Grant } from '../sandboxes/grants.ts';
import { putPointer } from '../sandboxes/holders.ts';
import { toKeyItem } from '../sandboxes/idempotency.ts';
import { idempotencyKey, LINE_STATE_KEY, placeKey } from '../sandboxes/keys.ts';

/** A sandbox that becomes free (or is, and stays so), and the lease that a place in the line gets of it. */
export interface HandOver {
  change: Change;
  grant: Grant;
  place: Place;
}

/** The transactions by which a sandbox becomes free, or goes to a place in the line instead. */
export interface HandOvers {
  /** What a transaction has to have in it, by which sandboxes become free, while nobody has joined since `state`. */
  freeing(state: Pick<LineState, 'seq'>): TransactItems;
  /** Makes a sandbox free. `lost`: somebody else has changed it; `line_moved`: somebody has joined. */
  free(
    change: Change,
    state: Pick<LineState, 'seq'>,
    signal?: AbortSignal,
  ): Promise<'written' | 'lost' | 'line_moved'>;
  /** Gives it to a place. `lost`: somebody else has changed the sandbox; `place_gone`: it was served, or removed. */
  serve(handOver: HandOver, signal?: AbortSignal): Promise<'written' | 'lost' | 'place_gone'>;
  /** Writes that the holder was told of its lease; false: the sandbox has changed since it was read. */
  collect(seen: AllocatedSandbox, next: AllocatedSandbox, signal?: AbortSignal): Promise<boolean>;
}

/** All replicas write the line's record, each one transaction at a time: with a few of them everybody's turn comes. */
const CONFLICT_RETRIES = 40;

type Outcome = 'written' | 'lost' | 'other_moved';

const holderOf = (sandbox: Sandbox | undefined): string | undefined =>
  sandbox !== undefined && 'lease' in sandbox ? sandbox.lease?.holder : undefined;

/** For a table that was laid out with `buckets`. */
export function createHandOvers(client: StoreClient, buckets: number, newId: NewId): HandOvers {
  const { table } = client;
  const items = createChangeItems(table, buckets);

  const freeing: HandOvers['freeing'] = ({ seq }) => [
    {
      Update: {
        TableName: table,
        Key: LINE_STATE_KEY,
        UpdateExpression: 'SET frees = if_not_exists(frees, :none) + :one, seq = if_not_exists(seq, :none)',
        ConditionExpression: NOBODY_HAS_JOINED,
        ExpressionAttributeValues: { ':seq': seq, ':one': 1, ':none': 0 },
      },
    },
  ];

  /**
   * The sandbox comes first, then `decisive` others whose conditions count; then what is written beside them; at last the
   * key of the lease that ends, if any, which may have moved on.
   */
  async function commit(
    change: Change,
    decisive: TransactItems,
    beside: TransactItems,
    signal?: AbortSignal,
  ): Promise<Outcome> {
    const writeId = newId();
    let keys = items.changeKey(change);
    const attempt = async (): Promise<Outcome | 'conflict'> => {
      try {
        await client.transact([{ Put: items.put(change, writeId) }, ...decisive, ...beside, ...keys], signal);
        return 'written';
      } catch (error) {
        if (!(error instanceof TransactionCancelledError)) throw error;
        const { reasons } = error;
        const [sandbox] = reasons;
        const failed = (from: number, count: number) =>
          reasons.slice(from, from + count).some(({ code }) => code === CONDITION_FAILED);
        if (sandbox?.code === CONDITION_FAILED) {
          return sandbox.item?.['write_id'] === writeId ? 'written' : 'lost';
        }
        if (failed(1, decisive.length)) return 'other_moved';
        if (failed(1 + decisive.length + beside.length, keys.length)) {
          keys = [];
          return await attempt();
        }
        if (isConflict(reasons)) return 'conflict';
        throw error;
      }
    };
    const outcome = await retryConflicts(attempt, { signal, retries: CONFLICT_RETRIES });
    return outcome === 'conflict' ? 'lost' : outcome;
  }

  return {
    freeing,

    async free(change, state, signal) {
      const beside = [...(change.event ? [putEvent(table, change.event)] : []), ...items.dropPointer(change)];
      const outcome = await commit(change, freeing(state), beside, signal);
      return outcome === 'other_moved' ? 'line_moved' : outcome;
    },

    async serve({ change, grant: { next, key, event: granted }, place }, signal) {
      const { seen, event } = change;
      const decisive: TransactItems = [
        {
          Put: {
            TableName: table,
            Item: toKeyItem(key),
            ConditionExpression: KEY_WAITS,
            ExpressionAttributeValues: { ':ticket': place.ticket },
          },
        },
        { Delete: { TableName: table, Key: placeKey(place.ticket), ConditionExpression: IS_THERE } },
      ];
      const beside = [
        ...[...(event ? [event] : []), granted].map((each) => putEvent(table, each)),
        // One that leads to the same again is written over.
        ...(holderOf(seen) === next.lease.holder ? [] : items.dropPointer(change)),
        ...putPointer(table, next),
      ];
      const outcome = await commit({ seen, next }, decisive, beside, signal);
      return outcome === 'other_moved' ? 'place_gone' : outcome;
    },

    async collect(seen, next, signal) {
      const key = {
        Update: {
          TableName: table,
          Key: idempotencyKey(seen.lease.idempotencyPk),
          UpdateExpression: 'REMOVE collect_by',
          ConditionExpression: KEY_IS_OF_LEASE,
          ExpressionAttributeValues: { ':lease': seen.lease.leaseId },
        },
      };
      return (await commit({ seen, next }, [key], [], signal)) === 'written';
    },
  };
}
