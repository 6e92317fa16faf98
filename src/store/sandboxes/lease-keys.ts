import type { Lease } from '../../domain/lease.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import type { Key } from '../dynamo/client.ts';
import type { Item, TransactItems } from '../dynamo/documents.ts';
import {
  KEY_ENDS_BEFORE,
  KEY_HAS_ONE_LEASE_LEFT,
  KEY_HAS_OTHER_LEASES,
  KEY_IS_OF_LEASE,
} from './conditions.ts';
import { GIVEN_BACK, keyTtl } from './idempotency.ts';
import { idempotencyKey } from './keys.ts';

interface Change {
  seen: Sandbox | undefined;
  next: Sandbox;
}

/** The part of a sandbox's transaction that its lease's key needs: nothing where the lease stays as it is. */
export function changeKey(table: string, { seen, next }: Change): TransactItems {
  if (seen?.status !== 'allocated') return [];
  return next.status === 'allocated' && next.lease.leaseId === seen.lease.leaseId
    ? prolongKey(table, seen.lease, next.lease)
    : releaseKey(table, seen.lease);
}

/**
 * The same after the key has refused it, as that is now; undefined where the key belongs to another lease, or its time was
 * over. Of several leases under one key the last that ends takes it along, and one that is extended may end before others.
 */
export function changeKeyAnew(
  table: string,
  { seen, next }: Change,
  key: Item | undefined,
): TransactItems | undefined {
  const groupId = seen?.status === 'allocated' ? seen.lease.groupId : undefined;
  if (seen?.status !== 'allocated' || groupId === undefined || key?.['lease_id'] !== groupId)
    return undefined;
  if (next.status === 'allocated') return [];
  return key['live_leases'] === 1 ? endKey(table, seen.lease) : changeKey(table, { seen, next });
}

const keyOf = (table: string, { idempotencyPk, leaseId, groupId }: Lease): KeyCondition => ({
  TableName: table,
  Key: idempotencyKey(idempotencyPk),
  ConditionExpression: KEY_IS_OF_LEASE,
  ExpressionAttributeValues: { ':lease': groupId ?? leaseId },
});

interface KeyCondition {
  TableName: string;
  Key: Key;
  ConditionExpression: string;
  ExpressionAttributeValues: Record<string, string | number>;
}

/** The key of a lease that goes on longer goes on as long; that of several as long as the longest of them. */
function prolongKey(table: string, seen: Lease, next: Lease): TransactItems {
  if (next.reclaimAt === seen.reclaimAt) return [];
  const { expiresAt: leaseExpiresAt, reclaimAt: expiresAt, keyRememberedUntil: rememberedUntil } = next;
  const isChosen = rememberedUntil !== undefined;
  const isOneOfSeveral = seen.groupId !== undefined;
  const key = keyOf(table, seen);
  return [
    {
      Update: {
        ...key,
        UpdateExpression:
          'SET lease_expires_at = :end, expires_at = :over, #ttl = :ttl' +
          (isChosen ? ', remembered_until = :remembered' : ''),
        ...(isOneOfSeveral && { ConditionExpression: KEY_ENDS_BEFORE }),
        ExpressionAttributeNames: { '#ttl': 'ttl' },
        ExpressionAttributeValues: {
          ...key.ExpressionAttributeValues,
          ':end': leaseExpiresAt,
          ':over': expiresAt,
          ':ttl': keyTtl({ expiresAt, rememberedUntil }),
          ...(isChosen && { ':remembered': rememberedUntil }),
        },
        ...(isOneOfSeveral && { ReturnValuesOnConditionCheckFailure: 'ALL_OLD' }),
      },
    },
  ];
}

/**
 * The key of a lease that ends is over, too. It goes on telling who had the sandbox, and its time ends by itself; but who has
 * never been told of its lease has none to be told about. That of several leases goes on while there are others.
 */
function releaseKey(table: string, lease: Lease): TransactItems {
  const key = keyOf(table, lease);
  if (lease.collectBy !== undefined) return [{ Delete: key }];
  if (lease.groupId === undefined) return [toEnded(key)];
  return [
    {
      Update: {
        ...key,
        UpdateExpression: 'SET live_leases = live_leases - :one',
        ConditionExpression: KEY_HAS_OTHER_LEASES,
        ExpressionAttributeValues: { ...key.ExpressionAttributeValues, ':one': 1 },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
    },
  ];
}

/** The last of several leases under a key ends. */
function endKey(table: string, lease: Lease): TransactItems {
  const key = keyOf(table, lease);
  return [
    toEnded({
      ...key,
      ConditionExpression: KEY_HAS_ONE_LEASE_LEFT,
      ExpressionAttributeValues: { ...key.ExpressionAttributeValues, ':one': 1 },
    }),
  ];
}

const toEnded = (key: KeyCondition): TransactItems[number] => ({
  Update: {
    ...key,
    UpdateExpression: 'SET expires_at = :over',
    ExpressionAttributeValues: { ...key.ExpressionAttributeValues, ':over': GIVEN_BACK },
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  },
});
