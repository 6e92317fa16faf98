import { z } from 'zod';
import { assertNever } from '../../domain/errors.ts';
import type { Job, JobRequest } from '../../domain/job.ts';
import type { Item } from '../dynamo/documents.ts';
import { jobKey, jobStatusKey } from '../sandboxes/keys.ts';

/** How long an ended job is remembered. */
const HISTORY_TTL_SECONDS = 7 * 86_400;

const request = z.discriminatedUnion('type', [
  z.object({ type: z.literal('sync'), options: z.object({ force: z.boolean() }) }),
  z.object({ type: z.literal('cleanup'), options: z.object({}) }),
  z.object({ type: z.literal('expire'), options: z.object({}) }),
  z
    .object({ type: z.literal('purge'), options: z.object({ grace_period_hours: z.number() }) })
    .transform(({ type, options: { grace_period_hours: gracePeriodHours } }) => ({
      type,
      options: { gracePeriodHours },
    })),
]);

const common = z.object({
  sk: z.string(),
  submitted_by: z.object({ actor: z.string(), request_id: z.string(), correlation_id: z.string() }),
  submitted_at_ms: z.int(),
  attempts: z.int(),
  waits: z.int(),
  generation: z.int(),
});

const claimFields = { claim_id: z.string(), started_at_ms: z.int() };
const state = z.discriminatedUnion('status', [
  z.object({ status: z.literal('pending'), not_before_ms: z.int().optional() }),
  z.object({
    ...claimFields,
    status: z.literal('running'),
    worker: z.string(),
    lease_until_ms: z.int(),
  }),
  z.object({
    ...claimFields,
    status: z.literal('completed'),
    ended_at_ms: z.int(),
    result: z.object({ counts: z.record(z.string(), z.number()), duration_ms: z.number() }),
  }),
  z.object({
    ...claimFields,
    status: z.literal('failed'),
    ended_at_ms: z.int(),
    error: z.object({ code: z.string(), message: z.string() }),
  }),
]);

/** Reads a job's item. Throws a `ZodError` for one that is not as this version writes it. */
export function toJob(item: Item): Job {
  const row = common.parse(item);
  const base = {
    id: row.sk,
    request: request.parse(item),
    submitter: {
      actor: row.submitted_by.actor,
      requestId: row.submitted_by.request_id,
      correlationId: row.submitted_by.correlation_id,
    },
    submittedAtMs: row.submitted_at_ms,
    attempts: row.attempts,
    waits: row.waits,
    generation: row.generation,
  };
  const now = state.parse(item);
  if (now.status === 'pending') return { ...base, status: now.status, notBeforeMs: now.not_before_ms };
  const claimed = { ...base, claimId: now.claim_id, startedAtMs: now.started_at_ms };
  switch (now.status) {
    case 'running':
      return { ...claimed, status: now.status, worker: now.worker, leaseUntilMs: now.lease_until_ms };
    case 'completed': {
      const result = { counts: now.result.counts, durationMs: now.result.duration_ms };
      return { ...claimed, status: now.status, endedAtMs: now.ended_at_ms, result };
    }
    case 'failed':
      return { ...claimed, status: now.status, endedAtMs: now.ended_at_ms, error: now.error };
    default:
      return assertNever(now);
  }
}

/** The item of a job. One that has ended is forgotten after a week; an open one never is. */
export function toJobItem(job: Job): Item {
  return {
    ...jobKey(job.id),
    status_key: jobStatusKey(job.status, job.id),
    ...requestColumns(job.request),
    submitted_by: {
      actor: job.submitter.actor,
      request_id: job.submitter.requestId,
      correlation_id: job.submitter.correlationId,
    },
    submitted_at_ms: job.submittedAtMs,
    attempts: job.attempts,
    waits: job.waits,
    generation: job.generation,
    ...stateColumns(job),
  };
}

function requestColumns({ type, options: given }: JobRequest): Item {
  if (type !== 'purge') return { type, options: given };
  return { type, options: { grace_period_hours: given.gracePeriodHours } };
}

function stateColumns(job: Job): z.input<typeof state> & { ttl?: number } {
  if (job.status === 'pending') return { status: job.status, not_before_ms: job.notBeforeMs };
  const claimed = { claim_id: job.claimId, started_at_ms: job.startedAtMs };
  if (job.status === 'running') {
    return { ...claimed, status: job.status, worker: job.worker, lease_until_ms: job.leaseUntilMs };
  }
  const ended = { ...claimed, ended_at_ms: job.endedAtMs, ttl: forgottenAt(job.endedAtMs) };
  if (job.status === 'failed') return { ...ended, status: job.status, error: job.error };
  const { counts, durationMs } = job.result;
  return { ...ended, status: job.status, result: { counts, duration_ms: durationMs } };
}

const forgottenAt = (endedAtMs: number): number => Math.ceil(endedAtMs / 1000) + HISTORY_TTL_SECONDS;

/** TTL deletion is late by design: what is over its time is gone for everybody who asks. */
export const isForgotten = (job: Job, nowMs: number): boolean =>
  'endedAtMs' in job && forgottenAt(job.endedAtMs) * 1000 <= nowMs;
