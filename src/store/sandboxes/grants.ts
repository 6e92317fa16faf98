import { StoreUnavailableError } from '../../domain/errors.ts';
import type { SandboxEvent } from '../../domain/event.ts';
import type { AllocatedSandbox, AvailableSandbox } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item, TransactItems } from '../dynamo/documents.ts';
import {
  type CancellationReason,
  CONDITION_FAILED,
  CONFLICT,
  isConflict,
  isThrottle,
  StoreThrottledError,
  TransactionCancelledError,
} from '../dynamo/errors.ts';
import { createGroupCommit, type Readiness, type Verdict } from '../dynamo/group-commit.ts';
import { createPace, type Pace } from '../dynamo/pace.ts';
import { IS_STILL_AVAILABLE, KEY_IS_FORGOTTEN, KEY_IS_FREE } from './conditions.ts';
import { putEvent } from './events.ts';
import { putPointer } from './holders.ts';
import { type KeyRecord, toKeyItem, toKeyRecord } from './idempotency.ts';
import { toSandboxItem } from './items.ts';
import { bucketOf } from './keys.ts';

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
 * sandbox or on the key at this moment; how it ends is open. `no_room`: the sandbox's bucket takes no more at the moment,
 * and nothing was done; another bucket may, and this one when it is asked again.
 */
export type GrantOutcome =
  | { type: 'granted' }
  | { type: 'key_taken'; record: KeyRecord }
  | { type: 'sandbox_lost' }
  | { type: 'sandbox_conflict' }
  | { type: 'key_conflict' }
  | { type: 'no_room' };

const DEFAULT_TRANSACTIONS = 4;
/** So many times as many where answers are late. */
const WHERE_LATE = 4;
/** With three or four items each. DynamoDB allows 100 to a transaction. */
const GRANTS_PER_TRANSACTION = 16;

/** The key, if it has nothing. */
export const putKeyIfFree = (
  table: string,
  { rememberedUntil }: Pick<KeyRecord, 'rememberedUntil'>,
  item: Item,
  nowMs: number,
) => ({
  Put: {
    TableName: table,
    Item: item,
    ConditionExpression: rememberedUntil === undefined ? KEY_IS_FREE : KEY_IS_FORGOTTEN,
    ExpressionAttributeValues: { ':now': Math.floor(nowMs / 1000) },
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  },
});

/** The sandbox, if it is still as the hint said. */
export const putGrantedSandbox = (
  table: string,
  buckets: number,
  { seen, next, attempt }: Pick<Grant, 'seen' | 'next'> & Pick<KeyRecord, 'attempt'>,
) => ({
  Put: {
    TableName: table,
    Item: toSandboxItem(next, buckets, attempt),
    ConditionExpression: IS_STILL_AVAILABLE,
    ExpressionAttributeNames: { '#status': 'status' },
    ExpressionAttributeValues: { ':available': 'available', ':seen': seen.generation },
  },
});

/** The transaction of a grant: key, sandbox, event, and where the key does not lead from the holder to it, what does. */
export const toGrantItems = (
  table: string,
  buckets: number,
  { seen, next, event, key, nowMs }: Grant,
): TransactItems => [
  putKeyIfFree(table, key, toKeyItem(key), nowMs),
  putGrantedSandbox(table, buckets, { seen, next, attempt: key.attempt }),
  putEvent(table, event),
  ...putPointer(table, next),
];

/** The place of the pace that stands for the table as a whole: keys and events are spread over all of it. */
const TABLE = 'table';
type GrantPace = Pace<number | typeof TABLE>;

/** Which buckets take something at the moment, as the grants of this process have found. */
export interface BucketPace {
  isWell(bucket: number): boolean;
}

interface Piece {
  grant: Grant;
  bucket: number;
  /** Its caller knew that the bucket is short of room, and has no better one. */
  isPatient: boolean;
}

/**
 * Leases sandboxes to keys, each in one round trip, all or nothing. Of the transactions `transactions` are under way at
 * once at the most, and callers beyond that share them. It is one decision per item all the same: what happens to one
 * grant never changes another's answer.
 *
 * Where the table is short of room, grants wait for it until their signal fires. Where a bucket is, its grants are told
 * `no_room`; those that come for it all the same wait. Throws {@link StoreUnavailableError} after a single attempt that
 * went wrong as a whole: whether it came true may be open then.
 */
export function createGrants(
  client: StoreClient,
  buckets: number,
  transactions = DEFAULT_TRANSACTIONS,
): { grant: (grant: Grant, signal?: AbortSignal) => Promise<GrantOutcome>; bucketPace: BucketPace } {
  const pace: GrantPace = createPace();

  function readiness({ bucket, isPatient }: Piece): Readiness<GrantOutcome> {
    if (!isPatient && !pace.isWell(bucket)) return { result: { type: 'no_room' } };
    return { waitMs: Math.max(pace.waitMs(TABLE), pace.waitMs(bucket)) };
  }

  async function send(pieces: Piece[], signal: AbortSignal): Promise<Verdict<GrantOutcome>[]> {
    const items = pieces.map(({ grant }) => toGrantItems(client.table, buckets, grant));
    const sentAtMs = performance.now();
    const places = new Set<number | typeof TABLE>([TABLE, ...pieces.map(({ bucket }) => bucket)]);
    for (const place of places) pace.sent(place);
    try {
      await client.transactOnce(items.flat(), signal);
      for (const place of places) pace.carriedOut(place, sentAtMs);
      return pieces.map(() => ({ result: { type: 'granted' } }));
    } catch (error) {
      if (error instanceof StoreThrottledError) {
        pace.refused(TABLE, sentAtMs);
        return pieces.map(() => 'later');
      }
      if (!(error instanceof TransactionCancelledError)) throw error;
      const left = [...error.reasons];
      const reasons = items.map(({ length }) => left.splice(0, length));
      const verdicts = toVerdicts(pieces, reasons, sentAtMs, pace);
      if (verdicts.every((verdict) => verdict === 'again')) throw error;
      return verdicts;
    }
  }

  const commit = createGroupCommit<Piece, GrantOutcome>({
    calls: transactions,
    callsWhereLate: WHERE_LATE * transactions,
    size: GRANTS_PER_TRANSACTION,
    touches: ({ grant: { key, seen } }) => [key.pk, seen.id],
    readiness,
    send,
    // Each on its own would find the store just as far away.
    concernsAll: (error) => error instanceof StoreUnavailableError,
  });

  return {
    bucketPace: pace,
    async grant(grant, signal = new AbortController().signal) {
      const bucket = bucketOf(grant.seen.id, buckets);
      try {
        return await commit({ grant, bucket, isPatient: !pace.isWell(bucket) }, signal);
      } catch (error) {
        throw signal.aborted && error === signal.reason ? new StoreUnavailableError(error) : error;
      }
    },
  };
}

/** What a cancellation means for each of its grants, by the reasons of its items; the pace learns where there was no room. */
function toVerdicts(
  pieces: readonly Piece[],
  reasons: readonly CancellationReason[][],
  sentAtMs: number,
  pace: GrantPace,
): Verdict<GrantOutcome>[] {
  // A key has a partition to itself, or its holder's: where it finds no room, the table has none, and the bucket is not to blame.
  const isTableShort = reasons.some(([key, , ...others]) => [key, ...others].some(isThrottle));
  if (isTableShort) pace.refused(TABLE, sentAtMs);
  return pieces.map(({ bucket }, number) => {
    const own = reasons[number] ?? [];
    const outcome = decide(own);
    if (outcome) return { result: outcome };
    if (!own.some(isThrottle)) return 'again';
    if (isTableShort) return 'later';
    pace.refused(bucket, sentAtMs);
    return { result: { type: 'no_room' } };
  });
}

/** What a grant's own reasons decide; nothing, when they are others'. */
function decide([key, sandbox, ...others]: CancellationReason[]): GrantOutcome | undefined {
  if (key?.code === CONDITION_FAILED && key.item) return { type: 'key_taken', record: toKeyRecord(key.item) };
  if (key?.code === CONFLICT) return { type: 'key_conflict' };
  if (sandbox?.code === CONDITION_FAILED) return { type: 'sandbox_lost' };
  if (isConflict([sandbox, ...others])) return { type: 'sandbox_conflict' };
  return undefined;
}
