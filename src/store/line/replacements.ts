import type { NewId } from '../../clock.ts';
import { type LineState, type Place, ticketOf } from '../../domain/line.ts';
import type { AllocatedSandbox, QuarantinedSandbox } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { type Change, createChangeItems } from '../sandboxes/changes.ts';
import { KEY_IS_OF_LEASE } from '../sandboxes/conditions.ts';
import { putEvent } from '../sandboxes/events.ts';
import { type Grant, putGrantedSandbox } from '../sandboxes/grants.ts';
import { putPointer } from '../sandboxes/holders.ts';
import { toKeyItem, toWaitingKeyItem } from '../sandboxes/idempotency.ts';
import { createCommit } from './commit.ts';
import { putState, toPlaceItem } from './place-items.ts';

/** A sandbox whose lease ends because its holder has found it broken. */
export type Reported = Change & { seen: AllocatedSandbox; next: QuarantinedSandbox };

/**
 * What a holder gets for a sandbox that it reports, in the very transaction that ends the lease: its key goes from the one to
 * the other, and never has both or neither. `lost`: the reported one has changed; `key_moved`: its key is not of this
 * lease (any more).
 */
export interface Replacements {
  /** Another sandbox. `taken`: that one is somebody else's. */
  lease(
    reported: Reported,
    grant: Grant,
    signal?: AbortSignal,
  ): Promise<'written' | 'lost' | 'key_moved' | 'taken'>;
  /** A place in the line, if its state is that of before the pool was found empty. */
  place(
    reported: Reported,
    place: Omit<Place, 'ticket'>,
    state: LineState,
    signal?: AbortSignal,
  ): Promise<Place | 'lost' | 'key_moved' | 'line_moved'>;
}

/** For a table that was laid out with `buckets`. */
export function createReplacements(client: StoreClient, buckets: number, newId: NewId): Replacements {
  const { table } = client;
  const commit = createCommit(client, createChangeItems(table, buckets), newId);

  /** The reported one's event, and what leads to it: its key does not any more. */
  const besideReported = ({ seen, event }: Reported): TransactItems => [
    ...(event ? [putEvent(table, event)] : []),
    ...putPointer(table, seen, { isKeyless: true }),
  ];
  const ofLease = ({ seen }: Reported) => ({
    TableName: table,
    ConditionExpression: KEY_IS_OF_LEASE,
    ExpressionAttributeValues: { ':lease': seen.lease.leaseId },
  });

  return {
    async lease(reported, { seen, next, key, event }, signal) {
      const decisive: TransactItems = [
        { Put: { ...ofLease(reported), Item: toKeyItem(key) } },
        putGrantedSandbox(table, buckets, { seen, next, attempt: key.attempt }),
      ];
      const beside = [...besideReported(reported), putEvent(table, event), ...putPointer(table, next)];
      const outcome = await commit(reported, { decisive, beside }, signal);
      if (typeof outcome === 'string') return outcome;
      return outcome.failed === 0 ? 'key_moved' : 'taken';
    },

    async place(reported, asked, state, signal) {
      const place: Place = { ...asked, ticket: ticketOf(asked.priority, state.seq + 1, asked.keyPk) };
      const decisive: TransactItems = [
        { Put: { ...ofLease(reported), Item: toWaitingKeyItem(place) } },
        putState(table, state, state.seq + 1),
      ];
      const beside = [...besideReported(reported), { Put: { TableName: table, Item: toPlaceItem(place) } }];
      const outcome = await commit(reported, { decisive, beside }, signal);
      if (outcome === 'written') return place;
      if (outcome === 'lost') return 'lost';
      return outcome.failed === 0 ? 'key_moved' : 'line_moved';
    },
  };
}
