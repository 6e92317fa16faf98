import { z } from 'zod';
import type { Surveyed } from '../../domain/inventory.ts';
import { SANDBOX_STATUSES } from '../../domain/sandbox.ts';
import type { Item } from '../dynamo/documents.ts';
import { SANDBOX_SK } from './keys.ts';
import { cleanupFields } from './lease-columns.ts';

/*
 * The part of a record that is held against a listing. A sync reads every record, and nearly all of them are as they were:
 * what is not asked for is not sent, parsed and thrown away.
 */

const surveyedItem = z.object({
  sk: z.string().startsWith(SANDBOX_SK),
  name: z.string(),
  external_id: z.string(),
  metadata: z.record(z.string(), z.string()),
  status: z.enum(SANDBOX_STATUSES),
  generation: z.int(),
  updated_at_ms: z.int(),
  stale_since_ms: z.int().optional(),
  missing_since_ms: z.int().optional(),
  farewell_ms: cleanupFields.farewell_ms,
  farewell_reason: cleanupFields.farewell_reason,
  deleted_at_ms: z.int().optional(),
  deletion_reason: z.enum(['destroyed', 'already_gone', 'purged']).optional(),
  seen_gone_ms: z.int().optional(),
  lease_id: z.string().optional(),
  deletion_requested_at: cleanupFields.deletion_requested_at.optional(),
});

const FIELDS = Object.keys(surveyedItem.shape);

/** The part of a query that asks for it. Some of the names are reserved words. */
export const SURVEYED = {
  ProjectionExpression: FIELDS.map((field) => `#${field}`).join(', '),
  ExpressionAttributeNames: Object.fromEntries(FIELDS.map((field) => [`#${field}`, field])),
};

/** Reads it. Throws a `ZodError` for an item that is not as this version writes it. */
export function toSurveyed(item: Item): Surveyed {
  const row = surveyedItem.parse(item);
  return {
    id: row.sk.slice(SANDBOX_SK.length),
    name: row.name,
    externalId: row.external_id,
    metadata: row.metadata,
    status: row.status,
    updatedAtMs: row.updated_at_ms,
    staleSinceMs: row.stale_since_ms,
    missingSinceMs: row.missing_since_ms,
    leavingSinceMs:
      row.status === 'pending_deletion' && row.farewell_reason !== undefined ? row.farewell_ms : undefined,
    deletedAtMs: row.deleted_at_ms,
    deletedAs: row.deletion_reason,
    seenGoneMs: row.seen_gone_ms,
    wasUsed:
      row.status === 'deleted' && row.lease_id !== undefined && row.deletion_requested_at !== undefined,
  };
}
