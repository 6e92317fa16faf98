import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import { CONDITION_FAILED, isConflict, TransactionCancelledError } from '../dynamo/errors.ts';
import { putEvent } from './events.ts';
import type { Grant } from './grants.ts';
import { putGrantedSandbox, putKeyIfFree } from './grants.ts';
import { putPointer } from './holders.ts';
import { type KeyRecord, toKeyItem, toKeyRecord } from './idempotency.ts';

/** Several sandboxes for one key. */
export interface GroupGrant {
  grants: readonly Omit<Grant, 'key'>[];
  key: KeyRecord;
  nowMs: number;
}

/**
 * `key_taken`: it has a lease in force (compare `attempt`), or remembers one. `lost`: ids of those that others were faster
 * with. `conflict`: others are at work on some of the items all the while.
 */
export type GroupOutcome =
  | { type: 'granted' }
  | { type: 'key_taken'; record: KeyRecord }
  | { type: 'lost'; sandboxIds: string[] }
  | { type: 'conflict' };

/**
 * Leases several sandboxes to one key, all or none, in one transaction: with three items for each, far from DynamoDB's limit
 * of 100. Throws `StoreUnavailableError` where it is open whether it came true.
 */
export function createGroupGrants(client: StoreClient, buckets: number) {
  return async ({ grants, key, nowMs }: GroupGrant, signal?: AbortSignal): Promise<GroupOutcome> => {
    const { table } = client;
    const items = [
      putKeyIfFree(table, key, toKeyItem(key), nowMs),
      ...grants.map(({ seen, next }) =>
        putGrantedSandbox(table, buckets, { seen, next, attempt: key.attempt }),
      ),
      ...grants.map(({ event }) => putEvent(table, event)),
      ...grants.flatMap(({ next }) => putPointer(table, next)),
    ];
    const attempt = async (): Promise<GroupOutcome | 'conflict'> => {
      try {
        await client.transact(items, signal);
        return { type: 'granted' };
      } catch (error) {
        if (!(error instanceof TransactionCancelledError)) throw error;
        const [ofKey, ...others] = error.reasons;
        if (ofKey?.code === CONDITION_FAILED && ofKey.item) {
          return { type: 'key_taken', record: toKeyRecord(ofKey.item) };
        }
        const lost = grants.filter((_, index) => others[index]?.code === CONDITION_FAILED);
        if (lost.length > 0) return { type: 'lost', sandboxIds: lost.map(({ seen }) => seen.id) };
        if (isConflict(error.reasons)) return 'conflict';
        throw error;
      }
    };
    const outcome = await retryConflicts(attempt, { signal });
    return outcome === 'conflict' ? { type: 'conflict' } : outcome;
  };
}
