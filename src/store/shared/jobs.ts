import { z } from 'zod';
import type { Clock, NewId } from '../../clock.ts';
import { StoreUnavailableError } from '../../domain/errors.ts';
import {
  type AnyJobRequest,
  claimJob,
  type EndedJob,
  type JobStore,
  type PendingJob,
  type RunningJob,
} from '../../domain/job.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import type { Item } from '../dynamo/documents.ts';
import {
  CONDITION_FAILED,
  ConditionFailedError,
  isConflict,
  TransactionCancelledError,
} from '../dynamo/errors.ts';
import { CLOCK_IS_PAST, IS_NEW, JOB_IS_CLAIMABLE, JOB_IS_MINE } from '../sandboxes/conditions.ts';
import { JOB_SEQUENCE_KEY, JOB_TOTALS_KEY, jobId, jobKey } from '../sandboxes/keys.ts';
import { BROKER_JOBS, type JobCodec, toJobItem } from './job-items.ts';

const sequenceItem = z.object({ clock_ms: z.int(), seq: z.int() });

/** Changes to the broker's jobs of one table. */
export const createJobStore = (client: StoreClient, clock: Clock, newId: NewId): JobStore =>
  createJobStoreOf(BROKER_JOBS, client, clock, newId);

/** Changes to the jobs of one table, whose sort key is their order. */
export function createJobStoreOf<Request extends AnyJobRequest, Result>(
  codec: JobCodec<Request, Result>,
  client: StoreClient,
  clock: Clock,
  newId: NewId,
): JobStore<Request, Result> {
  /**
   * The next id. Its clock never goes back, whichever replica's is wrong, and its number always grows: a job submitted
   * after another's submission was answered sorts behind it.
   */
  async function nextId(signal?: AbortSignal): Promise<string> {
    const advance = { Key: JOB_SEQUENCE_KEY, ReturnValues: 'ALL_NEW' as const };
    let item: Item | undefined;
    try {
      item = await client.update(
        {
          ...advance,
          UpdateExpression: 'SET clock_ms = :now ADD seq :one',
          ConditionExpression: CLOCK_IS_PAST,
          ExpressionAttributeValues: { ':now': clock.nowMs(), ':one': 1 },
        },
        signal,
      );
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
      item = await client.update(
        { ...advance, UpdateExpression: 'ADD seq :one', ExpressionAttributeValues: { ':one': 1 } },
        signal,
      );
    }
    const { clock_ms: clockMs, seq } = sequenceItem.parse(item);
    return jobId(clockMs, seq);
  }

  async function settleOnce(
    job: RunningJob<Request>,
    next: PendingJob<Request> | EndedJob<Request, Result>,
    signal?: AbortSignal,
  ): Promise<'written' | 'lost' | 'conflict'> {
    const put = {
      TableName: client.table,
      Item: toJobItem(next, codec),
      ConditionExpression: JOB_IS_MINE,
      ExpressionAttributeNames: { '#status': 'status' },
      ExpressionAttributeValues: { ':claim': job.claimId, ':running': 'running' },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
    };
    // The answer to our own write was lost, and it was sent again.
    const isOurs = (item: Record<string, unknown> | undefined) =>
      item?.generation === next.generation &&
      item.status === next.status &&
      (next.status === 'pending' || item.claim_id === job.claimId);
    try {
      if (next.status === 'pending') {
        await client.put(put, signal);
      } else {
        const count = {
          TableName: client.table,
          Key: JOB_TOTALS_KEY,
          UpdateExpression: 'ADD #total :one',
          ExpressionAttributeNames: { '#total': next.status },
          ExpressionAttributeValues: { ':one': 1 },
        };
        await client.transact([{ Put: put }, { Update: count }], signal);
      }
      return 'written';
    } catch (error) {
      if (error instanceof ConditionFailedError) return isOurs(error.item) ? 'written' : 'lost';
      if (!(error instanceof TransactionCancelledError)) throw error;
      const [ours] = error.reasons;
      if (ours?.code === CONDITION_FAILED) return isOurs(ours.item) ? 'written' : 'lost';
      if (isConflict(error.reasons)) return 'conflict';
      throw error;
    }
  }

  return {
    async submit(request, submitter, signal) {
      const job: PendingJob<Request> = {
        id: await nextId(signal),
        status: 'pending',
        request,
        submitter,
        submittedAtMs: clock.nowMs(),
        attempts: 0,
        waits: 0,
        generation: 1,
      };
      try {
        await client.put({ Item: toJobItem(job, codec), ConditionExpression: IS_NEW }, signal);
      } catch (error) {
        // Nobody else has this id: it is our own write, whose answer was lost and which was sent again.
        if (!(error instanceof ConditionFailedError)) throw error;
      }
      return job;
    },

    async claim(seen, { worker, leaseMs }, signal) {
      const nowMs = clock.nowMs();
      const job = claimJob(seen, { claimId: newId(), worker, leaseMs }, nowMs);
      try {
        await client.put(
          {
            Item: toJobItem(job, codec),
            ConditionExpression: JOB_IS_CLAIMABLE,
            ExpressionAttributeNames: { '#status': 'status' },
            ExpressionAttributeValues: { ':seen': seen.generation, ':pending': 'pending', ':now': nowMs },
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        return job;
      } catch (error) {
        // Whoever had it is writing how it ended, at this moment.
        if (error instanceof TransactionCancelledError) return undefined;
        if (!(error instanceof ConditionFailedError)) throw error;
        return error.item?.claim_id === job.claimId ? job : undefined;
      }
    },

    async renew(job, leaseMs, signal) {
      try {
        await client.update(
          {
            Key: jobKey(job.id),
            UpdateExpression: 'SET lease_until_ms = :until',
            ConditionExpression: JOB_IS_MINE,
            ExpressionAttributeNames: { '#status': 'status' },
            ExpressionAttributeValues: {
              ':claim': job.claimId,
              ':running': 'running',
              ':until': clock.nowMs() + leaseMs,
            },
          },
          signal,
        );
        return true;
      } catch (error) {
        if (error instanceof ConditionFailedError) return false;
        throw error;
      }
    },

    async settle(job, next, signal) {
      const outcome = await retryConflicts(() => settleOnce(job, next, signal), { signal });
      if (outcome !== 'conflict') return outcome === 'written';
      throw new StoreUnavailableError(new Error('the count of ended jobs is contended'));
    },
  };
}
