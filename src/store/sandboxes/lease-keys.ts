import type { Lease } from '../../domain/lease.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { KEY_IS_OF_LEASE } from './conditions.ts';
import { GIVEN_BACK, keyTtl } from './idempotency.ts';
import { idempotencyKey } from './keys.ts';

/** The part of a sandbox's transaction that its lease's key needs: nothing where the lease stays as it is. */
export function changeKey(
  table: string,
  { seen, next }: { seen: Sandbox | undefined; next: Sandbox },
): TransactItems {
  if (seen?.status !== 'allocated') return [];
  return next.status === 'allocated' && next.lease.leaseId === seen.lease.leaseId
    ? prolongKey(table, seen.lease, next.lease)
    : releaseKey(table, seen.lease);
}

/** The key of a lease that goes on longer goes on as long. */
function prolongKey(table: string, seen: Lease, next: Lease): TransactItems {
  if (next.reclaimAt === seen.reclaimAt) return [];
  const { expiresAt: leaseExpiresAt, reclaimAt: expiresAt, keyRememberedUntil: rememberedUntil } = next;
  const isChosen = rememberedUntil !== undefined;
  return [
    {
      Update: {
        TableName: table,
        Key: idempotencyKey(seen.idempotencyPk),
        UpdateExpression:
          'SET lease_expires_at = :end, expires_at = :over, #ttl = :ttl' +
          (isChosen ? ', remembered_until = :remembered' : ''),
        ConditionExpression: KEY_IS_OF_LEASE,
        ExpressionAttributeNames: { '#ttl': 'ttl' },
        ExpressionAttributeValues: {
          ':lease': seen.leaseId,
          ':end': leaseExpiresAt,
          ':over': expiresAt,
          ':ttl': keyTtl({ expiresAt, rememberedUntil }),
          ...(isChosen && { ':remembered': rememberedUntil }),
        },
      },
    },
  ];
}

/**
 * The key of a lease that ends is over, too. It goes on telling who had the sandbox, and its time ends by itself; but who has
 * never been told of its lease has none to be told about.
 */
function releaseKey(table: string, { idempotencyPk, leaseId, collectBy }: Lease): TransactItems {
  const key = {
    TableName: table,
    Key: idempotencyKey(idempotencyPk),
    ConditionExpression: KEY_IS_OF_LEASE,
    ExpressionAttributeValues: { ':lease': leaseId },
  };
  if (collectBy !== undefined) return [{ Delete: key }];
  return [
    {
      Update: {
        ...key,
        UpdateExpression: 'SET expires_at = :over',
        ExpressionAttributeValues: { ':lease': leaseId, ':over': GIVEN_BACK },
      },
    },
  ];
}
