import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { AnyJobRequest, Job, JobReads, JobStatus } from '../../domain/job.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import {
  BY_STATUS,
  JOB_SEQUENCE_KEY,
  JOB_TOTALS_KEY,
  JOBS_PK,
  jobKey,
  jobStatusKey,
} from '../sandboxes/keys.ts';
import { BROKER_JOBS, isForgotten, type JobCodec, toJob } from './job-items.ts';

const PAGE = 100;
/** Jobs that one call to `list` looks at, at most: a rare type among many must not read the whole history. */
const MAX_LOOKED_AT = 1_000;

const sequenceItem = z.object({ seq: z.int().default(0) });
const totalsItem = z.object({ completed: z.int().default(0), failed: z.int().default(0) });

/** How many jobs have ever been submitted; it is told before a job is there. */
export async function readJobSequence(
  client: Pick<StoreClient, 'get'>,
  signal?: AbortSignal,
): Promise<number> {
  return sequenceItem.parse((await client.get(JOB_SEQUENCE_KEY, signal)) ?? {}).seq;
}

/**
 * Reads of the jobs of one table, all in one partition. A record that cannot be read is left out and told to
 * `onUnreadable`.
 */
export const createJobReads = (
  client: StoreClient,
  clock: Clock,
  onUnreadable: (sortKey: unknown, error: unknown) => void,
): JobReads => createJobReadsOf(BROKER_JOBS, client, clock, onUnreadable);

/** The same for the jobs of any application. */
export function createJobReadsOf<Request extends AnyJobRequest, Result>(
  codec: JobCodec<Request, Result>,
  client: StoreClient,
  clock: Clock,
  onUnreadable: (sortKey: unknown, error: unknown) => void,
): JobReads<Request, Result> {
  const inStatus = (status: JobStatus) => ({
    IndexName: BY_STATUS,
    KeyConditionExpression: 'pk = :pk AND begins_with(status_key, :prefix)',
    ExpressionAttributeValues: { ':pk': JOBS_PK, ':prefix': jobStatusKey(status, '') },
  });
  const everyJob = { KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: { ':pk': JOBS_PK } };

  function* readable(items: Item[]): Generator<Job<Request, Result>, void, void> {
    for (const item of items) {
      let job: Job<Request, Result>;
      try {
        job = toJob(item, codec);
      } catch (error) {
        onUnreadable(item.sk, error);
        continue;
      }
      yield job;
    }
  }

  /** Pages through all jobs, or those in one status, by their ids. */
  async function* pages(
    {
      status,
      after,
      newestFirst,
    }: {
      status?: JobStatus | undefined;
      after?: string | undefined;
      newestFirst: boolean;
    },
    signal?: AbortSignal,
  ): AsyncGenerator<Item[], void, void> {
    let startKey: Item | undefined;
    if (after !== undefined) {
      startKey = { ...jobKey(after), ...(status && { status_key: jobStatusKey(status, after) }) };
    }
    do {
      const { items, lastKey } = await client.query(
        {
          ...(status ? inStatus(status) : everyJob),
          ScanIndexForward: !newestFirst,
          Limit: PAGE,
          ...(startKey && { ExclusiveStartKey: startKey }),
        },
        signal,
      );
      yield items;
      startKey = lastKey;
    } while (startKey);
  }

  return {
    async get(id, signal) {
      const item = await client.get(jobKey(id), signal);
      const job = item && toJob(item, codec);
      return job && !isForgotten(job, clock.nowMs()) ? job : undefined;
    },

    async list({ status, type, limit, after }, signal) {
      const nowMs = clock.nowMs();
      const jobs: Job<Request, Result>[] = [];
      let lookedAt = 0;
      let last = after;
      for await (const items of pages({ status, after, newestFirst: true }, signal)) {
        for (const job of readable(items)) {
          if (jobs.length === limit || lookedAt === MAX_LOOKED_AT) return { jobs, after: last };
          lookedAt++;
          last = job.id;
          if (isForgotten(job, nowMs) || (type !== undefined && job.request.type !== type)) continue;
          jobs.push(job);
        }
      }
      return { jobs };
    },

    async *open(signal) {
      for (const status of ['running', 'pending'] as const) {
        for await (const items of pages({ status, newestFirst: false }, signal)) {
          for (const job of readable(items)) {
            if (job.status === 'running' || job.status === 'pending') yield job;
          }
        }
      }
    },

    async totals(signal) {
      const item = await client.get(JOB_TOTALS_KEY, signal);
      let pending = 0;
      let after: Item | undefined;
      do {
        const page = await client.query(
          {
            ...inStatus('pending'),
            Select: 'COUNT',
            // A number to look at need not cost twice the read capacity.
            ConsistentRead: false,
            ...(after && { ExclusiveStartKey: after }),
          },
          signal,
        );
        pending += page.count;
        after = page.lastKey;
      } while (after);
      return { pending, ...totalsItem.parse(item ?? {}) };
    },
  };
}
