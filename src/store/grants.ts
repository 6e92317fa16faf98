import type { SandboxEvent } from '../domain/event.ts';
import type { AllocatedSandbox, AvailableSandbox } from '../domain/sandbox.ts';
import type { StoreClient } from './client.ts';
import { IS_STILL_AVAILABLE, KEY_IS_FORGOTTEN, KEY_IS_FREE } from './conditions.ts';
import type { TransactItems } from './documents.ts';
import {
  type CancellationReason,
  CONDITION_FAILED,
  CONFLICT,
  isConflict,
  StoreUnavailableError,
  TransactionCancelledError,
} from './errors.ts';
import { putEvent } from './events.ts';
import { createGroupCommit, type Decided } from './group-commit.ts';
import { type KeyRecord, toKeyItem, toKeyRecord } from './idempotency.ts';
import { toSandboxItem } from './items.ts';

/** A sandbox for a key. */
export interface Grant {
  seen: AvailableSandbox;
  next: AllocatedSandbox;
  event: SandboxEvent;
  key: KeyRecord;
  nowMs: number;
}

/**
 * How a grant ended. `key_taken`: the key has a lease in force (which may be ours: compare `attempt`),
 * or, where the caller chose it, remembers one.
 * `sandbox_lost`: somebody else was faster. `sandbox_conflict`, `key_conflict`: another transaction is at work on the
 * sandbox or on the key at this moment; how it ends is open.
 */
export type GrantOutcome =
  | { type: 'granted' }
  | { type: 'key_taken'; record: KeyRecord }
  | { type: 'sandbox_lost' }
  | { type: 'sandbox_conflict' }
  | { type: 'key_conflict' };

const DEFAULT_TRANSACTIONS = 4;
/** With three items each. DynamoDB allows 100 to a transaction. */
const GRANTS_PER_TRANSACTION = 16;
const ITEMS_PER_GRANT = 3;

/** The transaction of a grant: key, sandbox and event. */
export const toGrantItems = (
  table: string,
  buckets: number,
  { seen, next, event, key, nowMs }: Grant,
): TransactItems => [
  {
    Put: {
      TableName: table,
      Item: toKeyItem(key),
      ConditionExpression: key.rememberedUntil === undefined ? KEY_IS_FREE : KEY_IS_FORGOTTEN,
      ExpressionAttributeValues: { ':now': Math.floor(nowMs / 1000) },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    },
  },
  {
    Put: {
      TableName: table,
      Item: toSandboxItem(next, buckets, key.attempt),
      ConditionExpression: IS_STILL_AVAILABLE,
      ExpressionAttributeNames: { '#status': 'status' },
      ExpressionAttributeValues: { ':available': 'available', ':seen': seen.generation },
    },
  },
  putEvent(table, event),
];

/**
 * Leases sandboxes to keys, each in one round trip, all or nothing. Of the transactions `transactions` are under way at
 * once at the most, and callers beyond that share them. It is one decision per item all the same: what happens to one
 * grant never changes another's answer.
 */
export function createGrants(
  client: StoreClient,
  buckets: number,
  transactions = DEFAULT_TRANSACTIONS,
): (grant: Grant, signal?: AbortSignal) => Promise<GrantOutcome> {
  const commit = createGroupCommit<Grant, GrantOutcome>({
    calls: transactions,
    size: GRANTS_PER_TRANSACTION,
    touches: ({ key, seen }) => [key.pk, seen.id],
    // Each on its own would find the store just as far away.
    concernsAll: (error) => error instanceof StoreUnavailableError,
    async send(grants, signal) {
      try {
        await client.transact(
          grants.flatMap((grant) => toGrantItems(client.table, buckets, grant)),
          signal,
        );
        return grants.map(() => ({ result: { type: 'granted' } }));
      } catch (error) {
        if (!(error instanceof TransactionCancelledError)) throw error;
        const decisions = grants.map((_, index) => decide(error.reasons, index));
        if (decisions.every((decision) => decision === undefined)) throw error;
        return decisions;
      }
    },
  });
  return async (grant, signal = new AbortController().signal) => {
    try {
      return await commit(grant, signal);
    } catch (error) {
      throw signal.aborted && error === signal.reason ? new StoreUnavailableError(error) : error;
    }
  };
}

/** What a cancellation means for the grant of this number; nothing, when the reasons are others'. */
function decide(reasons: CancellationReason[], number: number): Decided<GrantOutcome> {
  const [key, sandbox, event] = reasons.slice(number * ITEMS_PER_GRANT, (number + 1) * ITEMS_PER_GRANT);
  if (key?.code === CONDITION_FAILED && key.item) {
    return { result: { type: 'key_taken', record: toKeyRecord(key.item) } };
  }
  if (key?.code === CONFLICT) return { result: { type: 'key_conflict' } };
  if (sandbox?.code === CONDITION_FAILED) return { result: { type: 'sandbox_lost' } };
  if (isConflict([sandbox, event])) return { result: { type: 'sandbox_conflict' } };
  return undefined;
}
