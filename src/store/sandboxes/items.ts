import { z } from 'zod';
import { assertNever } from '../../domain/errors.ts';
import { takenBackAt } from '../../domain/lease.ts';
import { type AvailableSandbox, isInUse, type Sandbox } from '../../domain/sandbox.ts';
import type { Item } from '../dynamo/documents.ts';
import { dueSortKey, sandboxKey, statusSortKey } from './keys.ts';
import {
  cleanupColumns,
  cleanupFields,
  cleanupOf,
  leaseColumns,
  leaseFields,
  leaseOf,
  quarantineColumns,
  quarantineFields,
  quarantineOf,
  usedColumns,
  usedFields,
  usedOf,
} from './lease-columns.ts';

/*
 * The records as the table has them, and their translation to the domain's types and back. Attribute names are what an
 * operator reads in the table; everything that is read is parsed, so a record that someone bent by hand is an error
 * that names the field, never a wrong lease.
 */

const TOMBSTONE_TTL_MS = 7 * 86_400_000;

const baseFields = {
  id: z.string(),
  name: z.string(),
  external_id: z.string(),
  metadata: z.record(z.string(), z.string()),
  generation: z.int(),
  created_at_ms: z.int(),
  updated_at_ms: z.int(),
  /** The last writer's mark: a writer whose answer was lost knows its own write by it. */
  write_id: z.string(),
};

const available = z.object({
  ...baseFields,
  status: z.literal('available'),
  released: z.object({ holder: z.string(), requested_at: z.int() }).optional(),
});
const cooling = available.extend({ status: z.literal('cooling'), cool_until_ms: z.int() });
const allocated = z.object({
  ...baseFields,
  ...leaseFields,
  ...z.object(quarantineFields).partial().shape,
  status: z.literal('allocated'),
});
const used = { ...baseFields, ...leaseFields, ...cleanupFields };
const pending = z.object({ ...used, status: z.literal('pending_deletion') });
const failed = z.object({ ...used, status: z.literal('deletion_failed') });
const stale = z.object({
  ...baseFields,
  status: z.literal('stale'),
  stale_since_ms: z.int(),
  cool_until_ms: z.int().optional(),
});
const quarantined = z.object({
  ...baseFields,
  ...usedFields,
  ...quarantineFields,
  status: z.literal('quarantined'),
  missing_since_ms: z.int().optional(),
  cool_until_ms: z.int().optional(),
});
const deleted = z.object({
  ...baseFields,
  ...usedFields,
  status: z.literal('deleted'),
  deleted_at_ms: z.int(),
  deletion_reason: z.enum(['destroyed', 'already_gone', 'purged']),
  seen_gone_ms: z.int().optional(),
});

const sandboxItem = z.discriminatedUnion('status', [
  available,
  cooling,
  allocated,
  pending,
  failed,
  stale,
  quarantined,
  deleted,
]);
type SandboxItem = z.infer<typeof sandboxItem>;

/** Reads a sandbox's item. Throws a `ZodError` for one that is not as this version writes it. */
export function toSandbox(item: Item): Sandbox {
  const row = sandboxItem.parse(item);
  const base = {
    id: row.id,
    name: row.name,
    externalId: row.external_id,
    metadata: row.metadata,
    generation: row.generation,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  };
  switch (row.status) {
    case 'available':
      return { ...base, status: row.status, ...releasedOf(row) };
    case 'cooling':
      return { ...base, status: row.status, coolUntilMs: row.cool_until_ms, ...releasedOf(row) };
    case 'allocated':
      return {
        ...base,
        status: row.status,
        lease: leaseOf(row),
        ...(row.quarantine_reason !== undefined &&
          row.quarantined_at_ms !== undefined && {
            quarantine: { reason: row.quarantine_reason, sinceMs: row.quarantined_at_ms },
          }),
      };
    case 'pending_deletion':
      return { ...base, status: row.status, lease: leaseOf(row), cleanup: cleanupOf(row) };
    case 'deletion_failed':
      return { ...base, status: row.status, lease: leaseOf(row), cleanup: cleanupOf(row) };
    case 'stale':
      return { ...base, status: row.status, staleSinceMs: row.stale_since_ms, ...coolingOf(row) };
    case 'quarantined':
      return {
        ...base,
        status: row.status,
        quarantine: quarantineOf(row),
        ...(row.missing_since_ms !== undefined && { missingSinceMs: row.missing_since_ms }),
        ...coolingOf(row),
        ...usedOf(row),
      };
    case 'deleted':
      return {
        ...base,
        status: row.status,
        deletedAtMs: row.deleted_at_ms,
        reason: row.deletion_reason,
        ...(row.seen_gone_ms !== undefined && { seenGoneMs: row.seen_gone_ms }),
        ...usedOf(row),
      };
    default:
      return assertNever(row);
  }
}

/** The item of a sandbox, index keys and TTL included. */
export function toSandboxItem(sandbox: Sandbox, buckets: number, writeId: string): Item {
  const row = toRow(sandbox, writeId);
  const dueMs = dueOf(sandbox);
  const forgetAtMs = forgetOf(sandbox);
  return {
    ...row,
    ...sandboxKey(sandbox.id, buckets),
    // Whatever is in use is due some time, and in `by_due` alone: an entry by its status, too, would cost a life of a lease
    // five more writes (replicas of an earlier version write it). What no index had would never be seen again.
    ...((dueMs === undefined || !isInUse(sandbox.status)) && {
      status_key: statusSortKey(sandbox.status, sandbox.name),
    }),
    ...(dueMs !== undefined && { due_key: dueSortKey(dueMs, sandbox.id) }),
    ...(forgetAtMs !== undefined && { ttl: Math.ceil(forgetAtMs / 1000) }),
  };
}

function toRow(sandbox: Sandbox, writeId: string): SandboxItem {
  const base = {
    id: sandbox.id,
    name: sandbox.name,
    external_id: sandbox.externalId,
    metadata: sandbox.metadata,
    generation: sandbox.generation,
    created_at_ms: sandbox.createdAtMs,
    updated_at_ms: sandbox.updatedAtMs,
    write_id: writeId,
  };
  switch (sandbox.status) {
    case 'available':
      return { ...base, status: sandbox.status, ...releasedColumns(sandbox) };
    case 'cooling':
      return {
        ...base,
        status: sandbox.status,
        cool_until_ms: sandbox.coolUntilMs,
        ...releasedColumns(sandbox),
      };
    case 'allocated':
      return {
        ...base,
        status: sandbox.status,
        ...leaseColumns(sandbox.lease),
        ...(sandbox.quarantine && quarantineColumns(sandbox.quarantine)),
      };
    case 'pending_deletion':
    case 'deletion_failed':
      return {
        ...base,
        status: sandbox.status,
        ...leaseColumns(sandbox.lease),
        ...cleanupColumns(sandbox.cleanup),
      };
    case 'stale':
      return {
        ...base,
        status: sandbox.status,
        stale_since_ms: sandbox.staleSinceMs,
        ...coolingColumns(sandbox),
      };
    case 'quarantined':
      return {
        ...base,
        status: sandbox.status,
        ...quarantineColumns(sandbox.quarantine),
        ...(sandbox.missingSinceMs !== undefined && { missing_since_ms: sandbox.missingSinceMs }),
        ...coolingColumns(sandbox),
        ...usedColumns(sandbox),
      };
    case 'deleted':
      return {
        ...base,
        status: sandbox.status,
        deleted_at_ms: sandbox.deletedAtMs,
        deletion_reason: sandbox.reason,
        ...(sandbox.seenGoneMs !== undefined && { seen_gone_ms: sandbox.seenGoneMs }),
        ...usedColumns(sandbox),
      };
    default:
      return assertNever(sandbox);
  }
}

/** When the broker has to look at a sandbox again, epoch milliseconds: lease end, silence, cleanup retry, claim time-out, or end of a cooldown. */
function dueOf(sandbox: Sandbox): number | undefined {
  switch (sandbox.status) {
    case 'allocated':
      return Math.min(takenBackAt(sandbox.lease), sandbox.lease.collectBy ?? Number.POSITIVE_INFINITY) * 1000;
    case 'pending_deletion':
    case 'deletion_failed':
      return sandbox.cleanup.dueMs;
    case 'cooling':
      return sandbox.coolUntilMs;
    case 'available':
    case 'stale':
    case 'quarantined':
    case 'deleted':
      return undefined;
    default:
      return assertNever(sandbox);
  }
}

/**
 * When a tombstone may be forgotten, epoch milliseconds. Never before its sandbox was seen gone, if it was used: what is
 * listed without a record is taken for a new one.
 */
function forgetOf(sandbox: Sandbox): number | undefined {
  if (sandbox.status !== 'deleted') return undefined;
  const goneMs = sandbox.lease ? sandbox.seenGoneMs : sandbox.deletedAtMs;
  return goneMs === undefined ? undefined : goneMs + TOMBSTONE_TTL_MS;
}

const releasedOf = ({ released }: Pick<z.infer<typeof available>, 'released'>) =>
  released && { released: { holder: released.holder, requestedAt: released.requested_at } };
const releasedColumns = ({ released }: Pick<AvailableSandbox, 'released'>) =>
  released && { released: { holder: released.holder, requested_at: released.requestedAt } };

/** Of what is not free even when it could be otherwise. */
const coolingOf = ({ cool_until_ms: coolUntilMs }: { cool_until_ms?: number | undefined }) =>
  coolUntilMs === undefined ? undefined : { coolUntilMs };
const coolingColumns = ({ coolUntilMs }: { coolUntilMs?: number | undefined }) =>
  coolUntilMs === undefined ? undefined : { cool_until_ms: coolUntilMs };
