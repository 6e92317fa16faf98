import { z } from 'zod';
import { assertNever, ERROR_CODES } from '../domain/errors.ts';
import type { SandboxEvent } from '../domain/event.ts';
import { takenBackAt } from '../domain/lease.ts';
import { IRREVERSIBLE_ACTIONS } from '../domain/resilience/action.ts';
import { outcomeOf } from '../domain/run-outcome.ts';
import { type Quarantine, SANDBOX_STATUSES, type Sandbox } from '../domain/sandbox.ts';
import type { EndedRun } from '../loops/run.ts';
import { epochSeconds, seconds } from './times.ts';

export const errorSchema = z
  .object({
    error: z.object({
      code: z.enum(ERROR_CODES).describe('Stable; decide by it, not by the message.'),
      message: z.string(),
      request_id: z.string().describe('The same as X-Request-ID: tell it to whoever runs the broker.'),
      retry_after: z.int().optional().describe('Seconds after which a retry makes sense, as in Retry-After.'),
      details: z.unknown().optional().describe('More for a program, such as the fields that are not valid.'),
    }),
  })
  .meta({ id: 'Error', description: 'The form of every error.' });

export const sandboxStatus = z
  .enum(SANDBOX_STATUSES)
  .meta({ id: 'SandboxStatus', description: 'Where a sandbox is in its life.' });

const recordShape = {
  sandbox_id: z.string(),
  name: z.string(),
  external_id: z.string(),
  status: sandboxStatus,
  sfdc_account_id: z.string().optional(),
  lease_id: z.string().optional().describe('Differs for every lease, also of one sandbox to one holder.'),
  fencing_token: z.int().optional().describe('Higher with every lease of this sandbox.'),
  allocated_to_track: z.string().optional().describe('The holder.'),
  track_name: z.string().optional().describe('The lab the holder runs.'),
  allocated_at: epochSeconds('Start of the lease').optional(),
  expires_at: epochSeconds('End of the lease').optional(),
  heartbeat_seconds: z.int().optional().describe('How often the holder is to give a sign of life.'),
  heartbeat_by: epochSeconds('When the next one is to come by').optional(),
  reclaim_at: epochSeconds('When the broker takes it back').optional(),
  deletion_requested_at: epochSeconds('The mark or the expiry').optional(),
  deletion_retry_count: z.int().optional().describe('How often its deletion failed.'),
  deletion_error: z.string().optional().describe("The last failure's kind."),
  deletion_due_at: epochSeconds('The next attempt').optional(),
  stale_since: epochSeconds('When the provider stopped listing it').optional(),
  cooling_until: epochSeconds('When it has cooled down').optional(),
  quarantine_reason: z
    .string()
    .optional()
    .describe('Why it is kept out of the pool; of a leased one: as soon as its lease is over.'),
  quarantined_at: epochSeconds('When that was asked for').optional(),
  missing_since: epochSeconds('Only in quarantine: when the provider stopped listing it').optional(),
  deleted_at: epochSeconds('End of the deletion').optional(),
  deletion_reason: z.enum(['destroyed', 'already_gone', 'purged']).optional(),
  created_at: epochSeconds('First seen'),
  updated_at: epochSeconds('Last changed'),
};

export const recordSchema = z
  .object(recordShape)
  .meta({ id: 'Sandbox', description: 'A sandbox. What makes no sense in its status is not there.' });

export const eventSchema = z
  .object({
    generation: z.int(),
    action: z.string(),
    actor: z.string(),
    from: sandboxStatus.optional(),
    to: sandboxStatus,
    at: epochSeconds('When it happened'),
    request_id: z.string(),
    correlation_id: z.string(),
    allocated_to_track: z.string().optional(),
    lease_id: z.string().optional(),
    detail: z.string().optional(),
  })
  .meta({ id: 'Event', description: 'One status change.' });

export const historySchema = z
  .object({ ...recordShape, history: z.array(eventSchema) })
  .meta({ id: 'SandboxWithHistory', description: 'A sandbox and its status changes, the oldest first.' });

export const listSchema = z
  .object({
    sandboxes: z.array(recordSchema),
    count: z.int().describe('Sandboxes on this page.'),
    cursor: z.string().optional().describe('For the next page; absent on the last one.'),
  })
  .meta({ id: 'SandboxList', description: 'One page. It may be short and still have a cursor.' });

export const exportSchema = z
  .object({
    sandboxes: z.array(recordSchema),
    count: z.int().describe('Of all; only there when the file is whole.'),
  })
  .meta({ id: 'Export', description: 'The pool as a file.' });

export const statsSchema = z
  .object({
    total: z.int(),
    available: z.int(),
    allocated: z.int(),
    pending_deletion: z.int(),
    stale: z.int(),
    deletion_failed: z.int(),
    cooling: z.int(),
    quarantined: z.int(),
    as_of: epochSeconds('When it was counted'),
  })
  .meta({
    id: 'PoolStats',
    description: 'The last counts of the pool, with what was changed by hand since.',
  });

export const runSchema = z
  .looseObject({
    status: z
      .enum(['completed', 'partial', 'refused'])
      .describe(
        'partial: something in it failed and is tried again; `failed` says how much. refused: it left undone what it did ' +
          'not believe; `stale_refused` says how much.',
      ),
    duration_ms: z.number(),
    aborted: z
      .literal(true)
      .optional()
      .describe(
        'The replica was told to stop on the way: this is what was done by then; the next run does the rest.',
      ),
    dry_run: z.literal(true).optional().describe('Nothing that cannot be undone was done.'),
    action: z.enum(IRREVERSIBLE_ACTIONS).optional().describe('What the dry run held back.'),
    result: z.null().optional().describe('There is none of a dry run.'),
    dry_run_blocked: z.int().optional().describe('How often the dry run held it back.'),
  })
  .meta({
    id: 'Run',
    description: 'A run that has ended, with the counts of what it did.',
    additionalProperties: { type: 'number' },
  });

/** A sandbox as every endpoint shows it. Times become epoch seconds. */
export function sandboxRecord(sandbox: Sandbox): z.output<typeof recordSchema> {
  const base = {
    sandbox_id: sandbox.id,
    name: sandbox.name,
    external_id: sandbox.externalId,
    sfdc_account_id: sandbox.metadata['sfdc_account_id'],
    created_at: seconds(sandbox.createdAtMs),
    updated_at: seconds(sandbox.updatedAtMs),
  };
  switch (sandbox.status) {
    case 'available':
      return { ...base, status: sandbox.status };
    case 'cooling':
      return { ...base, status: sandbox.status, cooling_until: seconds(sandbox.coolUntilMs) };
    case 'allocated':
      return {
        ...base,
        status: sandbox.status,
        ...leaseFields(sandbox),
        heartbeat_by: sandbox.lease.heartbeat?.by,
        reclaim_at: takenBackAt(sandbox.lease),
        ...quarantineFields(sandbox.quarantine),
      };
    case 'pending_deletion':
    case 'deletion_failed':
      return { ...base, status: sandbox.status, ...leaseFields(sandbox), ...cleanupFields(sandbox) };
    case 'stale':
      return { ...base, status: sandbox.status, stale_since: seconds(sandbox.staleSinceMs) };
    case 'quarantined':
      return {
        ...base,
        status: sandbox.status,
        ...leaseFields(sandbox),
        ...cleanupFields(sandbox),
        ...quarantineFields(sandbox.quarantine),
        missing_since: sandbox.missingSinceMs === undefined ? undefined : seconds(sandbox.missingSinceMs),
      };
    case 'deleted':
      return {
        ...base,
        status: sandbox.status,
        ...leaseFields(sandbox),
        ...cleanupFields(sandbox),
        // Nothing is due any more, whatever the last attempt had planned.
        deletion_due_at: undefined,
        deleted_at: seconds(sandbox.deletedAtMs),
        deletion_reason: sandbox.reason,
      };
    default:
      return assertNever(sandbox);
  }
}

type Leased = Extract<Sandbox, { lease?: unknown }>;
type Cleaned = Extract<Sandbox, { cleanup?: unknown }>;

function leaseFields({ lease }: Pick<Leased, 'lease'>) {
  if (lease === undefined) return {};
  return {
    lease_id: lease.leaseId,
    fencing_token: lease.fencingToken,
    allocated_to_track: lease.holder,
    track_name: lease.lab,
    allocated_at: lease.allocatedAt,
    expires_at: lease.expiresAt,
    heartbeat_seconds: lease.heartbeat?.seconds,
  };
}

const quarantineFields = (quarantine: Quarantine | undefined) =>
  quarantine && { quarantine_reason: quarantine.reason, quarantined_at: seconds(quarantine.sinceMs) };

function cleanupFields({ cleanup }: Pick<Cleaned, 'cleanup'>) {
  if (cleanup === undefined) return {};
  return {
    deletion_requested_at: cleanup.requestedAt,
    deletion_retry_count: cleanup.retries,
    deletion_error: cleanup.lastError,
    deletion_due_at: cleanup.dueMs === undefined ? undefined : seconds(cleanup.dueMs),
  };
}

/** What a run did. Status and duration come last: no count may pass for them. */
export function runRecord({ counts, durationMs, aborted }: EndedRun): z.output<typeof runSchema> {
  const outcome = outcomeOf(counts);
  const status = outcome === 'success' ? 'completed' : outcome;
  return { ...counts, status, duration_ms: Math.round(durationMs), ...(aborted && { aborted }) };
}

/** One line of a sandbox's history. */
export function eventRecord(event: SandboxEvent): z.output<typeof eventSchema> {
  return {
    generation: event.generation,
    action: event.action,
    actor: event.actor,
    from: event.from,
    to: event.to,
    at: seconds(event.atMs),
    request_id: event.requestId,
    correlation_id: event.correlationId,
    allocated_to_track: event.holder,
    lease_id: event.leaseId,
    detail: event.detail,
  };
}
