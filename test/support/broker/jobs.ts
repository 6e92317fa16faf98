import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import type { Job, JobReads, JobRequest, JobStore, OpenJob } from '../../../src/domain/job.ts';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import { createJobReads } from '../../../src/store/shared/job-reads.ts';
import { createJobStore } from '../../../src/store/shared/jobs.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, createFakeClock, type FakeClock, uniqueTable } from './core.ts';

export const SYNC: JobRequest = { type: 'sync', options: { force: false } };
export const CLEANUP: JobRequest = { type: 'cleanup', options: {} };
export const EXPIRE: JobRequest = { type: 'expire', options: {} };
export const PURGE: JobRequest = { type: 'purge', options: { gracePeriodHours: 24 } };

export const SUBMITTER = { actor: 'admin', requestId: 'request-1', correlationId: 'correlation-1' };

/** A queue as one replica sees it. */
export interface Queue {
  client: StoreClient;
  clock: FakeClock;
  jobs: JobStore;
  reads: JobReads;
  /** The sort keys of the records that could not be read. */
  unreadable: unknown[];
  /** Another replica's view of the same queue, with a client of its own. */
  replica(clock?: FakeClock): Queue;
}

function queueOn(endpoint: string, table: string, clock: FakeClock): Queue {
  const { client } = createCountingClient(endpoint, table);
  onTestFinished(async () => client.close());
  const unreadable: unknown[] = [];
  return {
    client,
    clock,
    unreadable,
    jobs: createJobStore(client, clock, randomUUID),
    reads: createJobReads(client, clock, (sortKey) => unreadable.push(sortKey)),
    replica: (other = clock) => queueOn(endpoint, table, other),
  };
}

/** A queue on a fresh table, under a clock that stands still. */
export async function startQueue(endpoint: string): Promise<Queue> {
  const queue = queueOn(endpoint, uniqueTable(), createFakeClock());
  await openTable(queue.client, { buckets: 16, create: true }, AbortSignal.timeout(60_000));
  return queue;
}

/** The jobs that have not ended, running ones first. */
export async function openJobs({ reads }: Queue): Promise<OpenJob[]> {
  const jobs: OpenJob[] = [];
  for await (const job of reads.open()) jobs.push(job);
  return jobs;
}

export async function jobOf({ reads }: Queue, id: string): Promise<Job> {
  const job = await reads.get(id);
  if (!job) throw new Error(`there is no job ${id}`);
  return job;
}
