import type { NewId } from '../../clock.ts';
import type { LineState, Place } from '../../domain/line.ts';
import type { AllocatedSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { type Change, createChangeItems } from '../sandboxes/changes.ts';
import { IS_THERE, KEY_IS_OF_LEASE, KEY_WAITS, NOBODY_HAS_JOINED } from '../sandboxes/conditions.ts';
import { putEvent } from '../sandboxes/events.ts';
import type { Grant } from '../sandboxes/grants.ts';
import { putPointer } from '../sandboxes/holders.ts';
import { toKeyItem } from '../sandboxes/idempotency.ts';
import { idempotencyKey, LINE_STATE_KEY, placeKey } from '../sandboxes/keys.ts';
import { createCommit } from './commit.ts';
import { createFree, type Free } from './freeings.ts';

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
  /** Makes a sandbox free while nobody has joined since `state`. */
  free: Free;
  /** Gives it to a place. `lost`: somebody else has changed the sandbox; `place_gone`: it was served, or removed. */
  serve(handOver: HandOver, signal?: AbortSignal): Promise<'written' | 'lost' | 'place_gone'>;
  /** Writes that the holder was told of its lease; false: the sandbox has changed since it was read. */
  collect(seen: AllocatedSandbox, next: AllocatedSandbox, signal?: AbortSignal): Promise<boolean>;
}

const holderOf = (sandbox: Sandbox | undefined): string | undefined =>
  sandbox !== undefined && 'lease' in sandbox ? sandbox.lease?.holder : undefined;

/** For a table that was laid out with `buckets`. */
export function createHandOvers(client: StoreClient, buckets: number, newId: NewId): HandOvers {
  const { table } = client;
  const items = createChangeItems(table, buckets);
  const commit = createCommit(client, items, newId);

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

  return {
    freeing,

    free: createFree(client, items, freeing, newId),

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
      const keys = items.changeKey({ seen, next });
      const outcome = await commit({ seen, next }, { decisive, beside, keys }, signal);
      return typeof outcome === 'string' ? outcome : 'place_gone';
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
      return (await commit({ seen, next }, { decisive: [key], beside: [] }, signal)) === 'written';
    },
  };
}
