import { z } from 'zod';
import { assertNever } from '../../domain/errors.ts';
import { type Lease, takenBackAt } from '../../domain/lease.ts';
import { type Cleanup, isInUse, type Sandbox } from '../../domain/sandbox.ts';
import type { Item } from '../dynamo/documents.ts';
import { dueSortKey, sandboxKey, statusSortKey } from './keys.ts';

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

const leaseFields = {
  lease_id: z.string(),
  allocated_to_track: z.string(),
  track_name: z.string().optional(),
  allocated_at: z.int(),
  expires_at: z.int(),
  reclaim_at: z.int(),
  idempotency_pk: z.string(),
  key_remembered_until: z.int().optional(),
  fencing_token: z.int().optional(),
  /** Together. */
  heartbeat_seconds: z.int().optional(),
  heartbeat_by: z.int().optional(),
  collect_by: z.int().optional(),
};

const cleanupFields = {
  deletion_requested_at: z.int(),
  deletion_attempts: z.int(),
  deletion_retry_count: z.int(),
  due_key: z
    .string()
    .regex(/^\d{13}#/)
    .optional(),
  claim_id: z.string().optional(),
  /** Together: since when the provider is said to have let it go, and as what. */
  farewell_ms: z.int().optional(),
  farewell_reason: z.enum(['destroyed', 'already_gone']).optional(),
  last_error: z.string().optional(),
  may_run_until_ms: z.int().optional(),
};

const available = z.object({
  ...baseFields,
  status: z.literal('available'),
  released: z.object({ holder: z.string(), requested_at: z.int() }).optional(),
});
const allocated = z.object({ ...baseFields, ...leaseFields, status: z.literal('allocated') });
const used = { ...baseFields, ...leaseFields, ...cleanupFields };
const pending = z.object({ ...used, status: z.literal('pending_deletion') });
const failed = z.object({ ...used, status: z.literal('deletion_failed') });
const stale = z.object({ ...baseFields, status: z.literal('stale'), stale_since_ms: z.int() });
const deleted = z.object({
  ...baseFields,
  ...z.object({ ...leaseFields, ...cleanupFields }).partial().shape,
  status: z.literal('deleted'),
  deleted_at_ms: z.int(),
  deletion_reason: z.enum(['destroyed', 'already_gone', 'purged']),
  seen_gone_ms: z.int().optional(),
});

const sandboxItem = z.discriminatedUnion('status', [available, allocated, pending, failed, stale, deleted]);
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
    case 'available': {
      const released = row.released && {
        holder: row.released.holder,
        requestedAt: row.released.requested_at,
      };
      return { ...base, status: row.status, ...(released && { released }) };
    }
    case 'allocated':
      return { ...base, status: row.status, lease: leaseOf(row) };
    case 'pending_deletion':
      return { ...base, status: row.status, lease: leaseOf(row), cleanup: cleanupOf(row) };
    case 'deletion_failed':
      return { ...base, status: row.status, lease: leaseOf(row), cleanup: cleanupOf(row) };
    case 'stale':
      return { ...base, status: row.status, staleSinceMs: row.stale_since_ms };
    case 'deleted':
      return {
        ...base,
        status: row.status,
        deletedAtMs: row.deleted_at_ms,
        reason: row.deletion_reason,
        ...(row.seen_gone_ms !== undefined && { seenGoneMs: row.seen_gone_ms }),
        ...(row.lease_id !== undefined && { lease: leaseOf(leaseRow.parse(row)) }),
        ...(row.deletion_requested_at !== undefined && { cleanup: cleanupOf(cleanupRow.parse(row)) }),
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
    case 'available': {
      const released = sandbox.released && {
        holder: sandbox.released.holder,
        requested_at: sandbox.released.requestedAt,
      };
      return { ...base, status: sandbox.status, ...(released && { released }) };
    }
    case 'allocated':
      return { ...base, status: sandbox.status, ...leaseColumns(sandbox.lease) };
    case 'pending_deletion':
    case 'deletion_failed':
      return {
        ...base,
        status: sandbox.status,
        ...leaseColumns(sandbox.lease),
        ...cleanupColumns(sandbox.cleanup),
      };
    case 'stale':
      return { ...base, status: sandbox.status, stale_since_ms: sandbox.staleSinceMs };
    case 'deleted':
      return {
        ...base,
        status: sandbox.status,
        deleted_at_ms: sandbox.deletedAtMs,
        deletion_reason: sandbox.reason,
        ...(sandbox.seenGoneMs !== undefined && { seen_gone_ms: sandbox.seenGoneMs }),
        ...(sandbox.lease && leaseColumns(sandbox.lease)),
        ...(sandbox.cleanup && cleanupColumns(sandbox.cleanup)),
      };
    default:
      return assertNever(sandbox);
  }
}

/** When the broker has to look at a sandbox again, epoch milliseconds: lease end, silence, cleanup retry, or claim time-out. */
function dueOf(sandbox: Sandbox): number | undefined {
  switch (sandbox.status) {
    case 'allocated':
      return Math.min(takenBackAt(sandbox.lease), sandbox.lease.collectBy ?? Number.POSITIVE_INFINITY) * 1000;
    case 'pending_deletion':
    case 'deletion_failed':
      return sandbox.cleanup.dueMs;
    case 'available':
    case 'stale':
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

const leaseRow = z.object(leaseFields);
const cleanupRow = z.object(cleanupFields);

const leaseOf = (row: z.infer<typeof leaseRow>): Lease => ({
  leaseId: row.lease_id,
  holder: row.allocated_to_track,
  ...(row.track_name !== undefined && { lab: row.track_name }),
  allocatedAt: row.allocated_at,
  expiresAt: row.expires_at,
  reclaimAt: row.reclaim_at,
  idempotencyPk: row.idempotency_pk,
  ...(row.key_remembered_until !== undefined && { keyRememberedUntil: row.key_remembered_until }),
  ...(row.fencing_token !== undefined && { fencingToken: row.fencing_token }),
  ...(row.heartbeat_seconds !== undefined &&
    row.heartbeat_by !== undefined && {
      heartbeat: { seconds: row.heartbeat_seconds, by: row.heartbeat_by },
    }),
  ...(row.collect_by !== undefined && { collectBy: row.collect_by }),
});

const leaseColumns = (lease: Lease): z.infer<typeof leaseRow> => ({
  lease_id: lease.leaseId,
  allocated_to_track: lease.holder,
  ...(lease.lab !== undefined && { track_name: lease.lab }),
  allocated_at: lease.allocatedAt,
  expires_at: lease.expiresAt,
  reclaim_at: lease.reclaimAt,
  idempotency_pk: lease.idempotencyPk,
  ...(lease.keyRememberedUntil !== undefined && { key_remembered_until: lease.keyRememberedUntil }),
  ...(lease.fencingToken !== undefined && { fencing_token: lease.fencingToken }),
  ...(lease.heartbeat && {
    heartbeat_seconds: lease.heartbeat.seconds,
    heartbeat_by: lease.heartbeat.by,
  }),
  ...(lease.collectBy !== undefined && { collect_by: lease.collectBy }),
});

const cleanupOf = (row: z.infer<typeof cleanupRow>): Cleanup => ({
  requestedAt: row.deletion_requested_at,
  attempts: row.deletion_attempts,
  retries: row.deletion_retry_count,
  ...(row.due_key !== undefined && { dueMs: Number(row.due_key.slice(0, row.due_key.indexOf('#'))) }),
  ...(row.claim_id !== undefined && { claimId: row.claim_id }),
  ...(row.farewell_ms !== undefined &&
    row.farewell_reason !== undefined && {
      farewell: { sinceMs: row.farewell_ms, reason: row.farewell_reason },
    }),
  ...(row.last_error !== undefined && { lastError: row.last_error }),
  ...(row.may_run_until_ms !== undefined && { mayRunUntilMs: row.may_run_until_ms }),
});

const cleanupColumns = (cleanup: Cleanup): z.infer<typeof cleanupRow> => ({
  deletion_requested_at: cleanup.requestedAt,
  deletion_attempts: cleanup.attempts,
  deletion_retry_count: cleanup.retries,
  ...(cleanup.claimId !== undefined && { claim_id: cleanup.claimId }),
  ...(cleanup.farewell && {
    farewell_ms: cleanup.farewell.sinceMs,
    farewell_reason: cleanup.farewell.reason,
  }),
  ...(cleanup.lastError !== undefined && { last_error: cleanup.lastError }),
  ...(cleanup.mayRunUntilMs !== undefined && { may_run_until_ms: cleanup.mayRunUntilMs }),
});
