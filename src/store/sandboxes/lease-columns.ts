import { z } from 'zod';
import type { Lease } from '../../domain/lease.ts';
import type { Cleanup, Quarantine } from '../../domain/sandbox.ts';

/* What a sandbox's item has of a lease, of the cleanup after it and of a quarantine, and their translation. */

export const leaseFields = {
  lease_id: z.string(),
  allocated_to_track: z.string(),
  track_name: z.string().optional(),
  allocated_at: z.int(),
  expires_at: z.int(),
  reclaim_at: z.int(),
  idempotency_pk: z.string(),
  group_id: z.string().optional(),
  key_remembered_until: z.int().optional(),
  fencing_token: z.int().optional(),
  /** Together. */
  heartbeat_seconds: z.int().optional(),
  heartbeat_by: z.int().optional(),
  collect_by: z.int().optional(),
};

export const cleanupFields = {
  deletion_requested_at: z.int(),
  deletion_untried: z.literal(true).optional(),
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

export const quarantineFields = {
  quarantine_reason: z.string(),
  quarantined_at_ms: z.int(),
  quarantine_report: z.enum(['plain', 'replaced']).optional(),
};

/** Of a status that may have been used, or not. */
const usedRow = z.object({ ...leaseFields, ...cleanupFields }).partial();
export const usedFields = usedRow.shape;

const leaseRow = z.object(leaseFields);
const cleanupRow = z.object(cleanupFields);
const quarantineRow = z.object(quarantineFields);
type LeaseRow = z.infer<typeof leaseRow>;
type CleanupRow = z.infer<typeof cleanupRow>;
type UsedRow = z.infer<typeof usedRow>;
type QuarantineRow = z.infer<typeof quarantineRow>;

export const leaseOf = (row: LeaseRow): Lease => ({
  leaseId: row.lease_id,
  holder: row.allocated_to_track,
  ...(row.track_name !== undefined && { lab: row.track_name }),
  allocatedAt: row.allocated_at,
  expiresAt: row.expires_at,
  reclaimAt: row.reclaim_at,
  idempotencyPk: row.idempotency_pk,
  ...(row.group_id !== undefined && { groupId: row.group_id }),
  ...(row.key_remembered_until !== undefined && { keyRememberedUntil: row.key_remembered_until }),
  ...(row.fencing_token !== undefined && { fencingToken: row.fencing_token }),
  ...(row.heartbeat_seconds !== undefined &&
    row.heartbeat_by !== undefined && {
      heartbeat: { seconds: row.heartbeat_seconds, by: row.heartbeat_by },
    }),
  ...(row.collect_by !== undefined && { collectBy: row.collect_by }),
});

export const leaseColumns = (lease: Lease): LeaseRow => ({
  lease_id: lease.leaseId,
  allocated_to_track: lease.holder,
  ...(lease.lab !== undefined && { track_name: lease.lab }),
  allocated_at: lease.allocatedAt,
  expires_at: lease.expiresAt,
  reclaim_at: lease.reclaimAt,
  idempotency_pk: lease.idempotencyPk,
  ...(lease.groupId !== undefined && { group_id: lease.groupId }),
  ...(lease.keyRememberedUntil !== undefined && { key_remembered_until: lease.keyRememberedUntil }),
  ...(lease.fencingToken !== undefined && { fencing_token: lease.fencingToken }),
  ...(lease.heartbeat && {
    heartbeat_seconds: lease.heartbeat.seconds,
    heartbeat_by: lease.heartbeat.by,
  }),
  ...(lease.collectBy !== undefined && { collect_by: lease.collectBy }),
});

export const cleanupOf = (row: CleanupRow): Cleanup => ({
  requestedAt: row.deletion_requested_at,
  ...(row.deletion_untried && { untried: row.deletion_untried }),
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

export const cleanupColumns = (cleanup: Cleanup): CleanupRow => ({
  deletion_requested_at: cleanup.requestedAt,
  ...(cleanup.untried && { deletion_untried: cleanup.untried }),
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

/** What a row that may have been used says of that. */
export const usedOf = (row: UsedRow): { lease?: Lease; cleanup?: Cleanup } => ({
  ...(row.lease_id !== undefined && { lease: leaseOf(leaseRow.parse(row)) }),
  ...(row.deletion_requested_at !== undefined && { cleanup: cleanupOf(cleanupRow.parse(row)) }),
});

export const usedColumns = ({
  lease,
  cleanup,
}: {
  lease?: Lease | undefined;
  cleanup?: Cleanup | undefined;
}): UsedRow => ({
  ...(lease && leaseColumns(lease)),
  ...(cleanup && cleanupColumns(cleanup)),
});

export const quarantineOf = (row: QuarantineRow): Quarantine => ({
  reason: row.quarantine_reason,
  sinceMs: row.quarantined_at_ms,
  ...(row.quarantine_report !== undefined && { report: row.quarantine_report }),
});

export const quarantineColumns = ({ reason, sinceMs, report }: Quarantine): QuarantineRow => ({
  quarantine_reason: reason,
  quarantined_at_ms: sinceMs,
  ...(report !== undefined && { quarantine_report: report }),
});
