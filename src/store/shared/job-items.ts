import { z } from 'zod';
import { assertNever } from '../../domain/errors.ts';
import type { AnyJobRequest, Job, JobRequest, JobResult } from '../../domain/job.ts';
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

/** How a queue's requests and results stand in its items. */
export interface JobCodec<Request extends AnyJobRequest, Result> {
  readRequest(item: Item): Request;
  requestColumns(request: Request): Item;
  readResult(value: unknown): Result;
  resultColumn(result: Result): unknown;
}

const result = z
  .object({ counts: z.record(z.string(), z.number()), duration_ms: z.number() })
  .transform(({ counts, duration_ms: durationMs }) => ({ counts, durationMs }));

/** The broker's own jobs. */
export const BROKER_JOBS: JobCodec<JobRequest, JobResult> = {
  readRequest: (item) => request.parse(item),
  requestColumns({ type, options: given }) {
    if (type !== 'purge') return { type, options: given };
    return { type, options: { grace_period_hours: given.gracePeriodHours } };
  },
  readResult: (value) => result.parse(value),
  resultColumn: ({ counts, durationMs }) => ({ counts, duration_ms: durationMs }),
};

const anyRequest = z.object({ type: z.string(), options_json: z.string().optional() });
const textOf = (value: unknown): string | undefined =>
  value === undefined ? undefined : JSON.stringify(value);
const parsed = (text: string | undefined): unknown => (text === undefined ? undefined : JSON.parse(text));

/** Jobs of any application, as JSON text: the table's own numbers and names have limits that these need not keep to. */
export const ANY_JOBS: JobCodec<AnyJobRequest, unknown> = {
  readRequest(item) {
    const { type, options_json: text } = anyRequest.parse(item);
    return { type, options: parsed(text) };
  },
  requestColumns({ type, options: given }) {
    const text = textOf(given);
    return { type, ...(text !== undefined && { options_json: text }) };
  },
  readResult: (value) => parsed(z.string().optional().parse(value)),
  resultColumn: textOf,
};

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
    result: z.unknown(),
  }),
  z.object({
    ...claimFields,
    status: z.literal('failed'),
    ended_at_ms: z.int(),
    error: z.object({ code: z.string(), message: z.string() }),
  }),
]);

/** Reads a job's item. Throws a `ZodError` for one that is not as this version writes it. */
export function toJob<Request extends AnyJobRequest, Result>(
  item: Item,
  codec: JobCodec<Request, Result>,
): Job<Request, Result> {
  const row = common.parse(item);
  const base = {
    id: row.sk,
    request: codec.readRequest(item),
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
      const { status, ended_at_ms: endedAtMs } = now;
      return { ...claimed, status, endedAtMs, result: codec.readResult(now.result) };
    }
    case 'failed':
      return { ...claimed, status: now.status, endedAtMs: now.ended_at_ms, error: now.error };
    default:
      return assertNever(now);
  }
}

/** The item of a job. One that has ended is forgotten after a week; an open one never is. */
export function toJobItem<Request extends AnyJobRequest, Result>(
  job: Job<Request, Result>,
  codec: JobCodec<Request, Result>,
): Item {
  return {
    ...jobKey(job.id),
    status_key: jobStatusKey(job.status, job.id),
    ...codec.requestColumns(job.request),
    submitted_by: {
      actor: job.submitter.actor,
      request_id: job.submitter.requestId,
      correlation_id: job.submitter.correlationId,
    },
    submitted_at_ms: job.submittedAtMs,
    attempts: job.attempts,
    waits: job.waits,
    generation: job.generation,
    ...stateColumns(job, codec),
  };
}

function stateColumns<Request extends AnyJobRequest, Result>(
  job: Job<Request, Result>,
  codec: JobCodec<Request, Result>,
): z.input<typeof state> & { ttl?: number } {
  if (job.status === 'pending') return { status: job.status, not_before_ms: job.notBeforeMs };
  const claimed = { claim_id: job.claimId, started_at_ms: job.startedAtMs };
  if (job.status === 'running') {
    return { ...claimed, status: job.status, worker: job.worker, lease_until_ms: job.leaseUntilMs };
  }
  const ended = { ...claimed, ended_at_ms: job.endedAtMs, ttl: forgottenAt(job.endedAtMs) };
  if (job.status === 'failed') return { ...ended, status: job.status, error: job.error };
  return { ...ended, status: job.status, result: codec.resultColumn(job.result) };
}

const forgottenAt = (endedAtMs: number): number => Math.ceil(endedAtMs / 1000) + HISTORY_TTL_SECONDS;

/** TTL deletion is late by design: what is over its time is gone for everybody who asks. */
export const isForgotten = (job: Job<AnyJobRequest, unknown>, nowMs: number): boolean =>
  'endedAtMs' in job && forgottenAt(job.endedAtMs) * 1000 <= nowMs;
