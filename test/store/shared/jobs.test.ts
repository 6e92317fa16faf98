import { expect, test } from 'vitest';
import {
  completeJob,
  failJob,
  type PendingJob,
  putBackJob,
  type RunningJob,
} from '../../../src/domain/job.ts';
import { createFakeClock } from '../../support/broker/core.ts';
import { refused } from '../../support/broker/csp-core.ts';
import {
  CLEANUP,
  EXPIRE,
  jobOf,
  openJobs,
  PURGE,
  type Queue,
  SUBMITTER,
  SYNC,
  startQueue,
} from '../../support/broker/jobs.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  cancelled,
  conflicted,
  failWith,
  injectFaults,
  loseAnswer,
} from '../../support/store/injected-faults.ts';

const LEASE = { worker: 'replica-1', leaseMs: 30_000 };
const WEEK_SECONDS = 7 * 86_400;
const RESULT = { counts: { created: 2 }, durationMs: 12 };

const submit = ({ jobs }: Queue, request: Parameters<Queue['jobs']['submit']>[0] = SYNC) =>
  jobs.submit(request, SUBMITTER);

async function claim(queue: Queue, job: PendingJob | RunningJob): Promise<RunningJob> {
  const claimed = await queue.jobs.claim(job, LEASE);
  if (!claimed) throw new Error(`${job.id} was not to be had`);
  return claimed;
}

/** Submits a job and sees it through. */
async function complete(queue: Queue, request = SYNC): Promise<RunningJob> {
  const running = await claim(queue, await submit(queue, request));
  expect(await queue.jobs.settle(running, completeJob(running, RESULT, queue.clock.nowMs()))).toBe(true);
  return running;
}

describeOnEngines('a queue of jobs', ({ endpoint }) => {
  test('a job is in the store as it was submitted', async () => {
    const queue = await startQueue(endpoint);
    for (const request of [SYNC, CLEANUP, EXPIRE, PURGE]) {
      const job = await submit(queue, request);
      expect(await jobOf(queue.replica(), job.id)).toEqual({ ...job, notBeforeMs: undefined });
      expect(job).toMatchObject({ status: 'pending', request, submitter: SUBMITTER, attempts: 0 });
    }
  });

  test('jobs come in the order of their submission, whichever replica took them and whatever its clock says', async () => {
    const queue = await startQueue(endpoint);
    const slow = queue.replica(createFakeClock(queue.clock.nowMs() - 3_600_000));
    const fast = queue.replica(createFakeClock(queue.clock.nowMs() + 3_600_000));
    const ids: string[] = [];
    for (const each of [queue, queue, fast, slow, queue, fast, slow, slow]) {
      ids.push((await submit(each)).id);
    }
    expect((await openJobs(queue)).map((job) => job.id)).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('jobs submitted at once have different ids and are all there', async () => {
    const queue = await startQueue(endpoint);
    const replicas = [queue, queue.replica(), queue.replica()];
    const jobs = await Promise.all(replicas.flatMap((each) => Array.from({ length: 8 }, () => submit(each))));
    expect(new Set(jobs.map((job) => job.id)).size).toBe(24);
    expect(await openJobs(queue)).toHaveLength(24);
  });

  test('of many claims at once one wins', async () => {
    const queue = await startQueue(endpoint);
    const job = await submit(queue);
    const replicas = Array.from({ length: 8 }, () => queue.replica());
    const claims = await Promise.all(replicas.map((each) => each.jobs.claim(job, LEASE)));
    const won = claims.filter((each) => each !== undefined);
    expect(won).toHaveLength(1);
    expect(await jobOf(queue, job.id)).toEqual(won[0]);
    expect(won[0]).toMatchObject({ status: 'running', attempts: 1, startedAtMs: queue.clock.nowMs() });
  });

  test('a claim holds to the end of its lease, and as long as it is renewed', async () => {
    const queue = await startQueue(endpoint);
    const running = await claim(queue, await submit(queue));
    queue.clock.advanceSeconds(20);
    expect(await queue.jobs.renew(running, LEASE.leaseMs)).toBe(true);
    queue.clock.advanceSeconds(30);
    expect(await queue.jobs.claim(running, LEASE)).toBeUndefined();
    queue.clock.advanceSeconds(0.001);
    expect(await queue.jobs.claim(running, LEASE)).toMatchObject({ attempts: 2 });
  });

  test('whoever lost its claim can neither renew it nor end the job', async () => {
    const queue = await startQueue(endpoint);
    const late = await claim(queue, await submit(queue));
    queue.clock.advanceSeconds(31);
    const taker = await claim(queue.replica(), late);
    const nowMs = queue.clock.nowMs();
    expect(await queue.jobs.renew(late, LEASE.leaseMs)).toBe(false);
    expect(await queue.jobs.settle(late, completeJob(late, RESULT, nowMs))).toBe(false);
    expect(await queue.jobs.settle(late, putBackJob(late))).toBe(false);
    expect(await jobOf(queue, late.id)).toEqual(taker);
    expect(await queue.jobs.settle(taker, completeJob(taker, RESULT, nowMs))).toBe(true);
    expect(await queue.jobs.settle(late, completeJob(late, RESULT, nowMs))).toBe(false);
    expect(await queue.reads.totals()).toEqual({ pending: 0, completed: 1, failed: 0 });
  });

  test('a job that is put back keeps its place, and its run does not count', async () => {
    const queue = await startQueue(endpoint);
    const first = await submit(queue);
    const second = await submit(queue);
    const running = await claim(queue, first);
    const waiting = putBackJob(running, queue.clock.nowMs() + 250);
    expect(await queue.jobs.settle(running, waiting)).toBe(true);
    expect(waiting).toMatchObject({ status: 'pending', attempts: 0, waits: 1 });
    expect(await openJobs(queue)).toEqual([waiting, { ...second, notBeforeMs: undefined }]);
  });

  test('an ended job has its times, its attempts and its outcome, and nothing of the claim stays open', async () => {
    const queue = await startQueue(endpoint);
    const done = await complete(queue);
    const running = await claim(queue, await submit(queue, CLEANUP));
    queue.clock.advanceSeconds(3);
    const failed = failJob(running, { code: 'INTERNAL', message: 'no' }, queue.clock.nowMs());
    expect(await queue.jobs.settle(running, failed)).toBe(true);
    expect(await jobOf(queue, failed.id)).toEqual(failed);
    expect(await jobOf(queue, done.id)).toMatchObject({ status: 'completed', attempts: 1, result: RESULT });
    expect(await openJobs(queue)).toEqual([]);
    expect(await queue.jobs.claim(running, LEASE)).toBeUndefined();
    queue.clock.advanceSeconds(3_600);
    expect(await queue.jobs.claim(running, LEASE)).toBeUndefined();
    expect(await queue.reads.totals()).toEqual({ pending: 0, completed: 1, failed: 1 });
  });

  test('history goes after a week, and an open job never does', async () => {
    const queue = await startQueue(endpoint);
    const done = await complete(queue);
    const waiting = await submit(queue);
    const { items } = await queue.client.scan({});
    const ttlOf = (id: string) => items.find((item) => item.sk === id)?.ttl;
    expect(ttlOf(done.id)).toBe(Math.ceil(queue.clock.nowMs() / 1000) + WEEK_SECONDS);
    expect(ttlOf(waiting.id)).toBeUndefined();
    queue.clock.advanceSeconds(WEEK_SECONDS - 1);
    expect(await queue.reads.get(done.id)).toBeDefined();
    queue.clock.advanceSeconds(1);
    // TTL is late by design: the item is still there, and nobody sees it.
    expect(await queue.reads.get(done.id)).toBeUndefined();
    const { jobs } = await queue.reads.list({ limit: 10 });
    expect(jobs.map((job) => job.id)).toEqual([waiting.id]);
  });

  test('a list has every job once, the newest first, by status and by type', async () => {
    const queue = await startQueue(endpoint);
    const ids: string[] = [];
    for (const request of [SYNC, CLEANUP, SYNC, CLEANUP, SYNC]) ids.push((await complete(queue, request)).id);
    ids.push((await submit(queue, SYNC)).id);
    const walk = async (query: Omit<Parameters<typeof queue.reads.list>[0], 'limit' | 'after'>) => {
      const found: string[] = [];
      let after: string | undefined;
      do {
        const page = await queue.reads.list({ ...query, limit: 2, after });
        expect(page.jobs.length).toBeLessThanOrEqual(2);
        found.push(...page.jobs.map((job) => job.id));
        after = page.after;
      } while (after !== undefined);
      return found;
    };
    const newestFirst = ids.toReversed();
    expect(await walk({})).toEqual(newestFirst);
    expect(await walk({ status: 'completed' })).toEqual(newestFirst.slice(1));
    expect(await walk({ status: 'pending' })).toEqual([ids[5]]);
    expect(await walk({ type: 'cleanup' })).toEqual([ids[3], ids[1]]);
    expect(await walk({ type: 'sync', status: 'completed' })).toEqual([ids[4], ids[2], ids[0]]);
    expect(await walk({ status: 'failed' })).toEqual([]);
  });

  test('a record that someone bent stands in the way of no other', async () => {
    const queue = await startQueue(endpoint);
    const bent = await submit(queue);
    const sound = await submit(queue);
    await queue.client.update({
      Key: { pk: 'JOBS', sk: bent.id },
      UpdateExpression: 'SET attempts = :words',
      ExpressionAttributeValues: { ':words': 'many' },
    });
    expect((await openJobs(queue)).map((job) => job.id)).toEqual([sound.id]);
    expect((await queue.reads.list({ limit: 5 })).jobs.map((job) => job.id)).toEqual([sound.id]);
    expect(queue.unreadable).toEqual([bent.id, bent.id]);
  });

  test('workers that end jobs at the same time are all counted', async () => {
    const queue = await startQueue(endpoint);
    const running: RunningJob[] = [];
    for (let number = 0; number < 6; number++) running.push(await claim(queue, await submit(queue)));
    const replicas = running.map(() => queue.replica());
    const settled = await Promise.all(
      running.map((job, index) =>
        replicas[index]?.jobs.settle(job, completeJob(job, RESULT, queue.clock.nowMs())),
      ),
    );
    expect(settled).toEqual(running.map(() => true));
    expect(await queue.reads.totals()).toEqual({ pending: 0, completed: 6, failed: 0 });
  });

  test('an end that meets another on its way into the count is written all the same', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    const conflict = failWith(() => cancelled('None', 'TransactionConflict'));
    faults.next('TransactWriteItems', conflict, { times: 5 });
    await complete(queue);
    expect(faults.left).toBe(0);
    expect((await queue.reads.totals()).completed).toBe(1);

    const running = await claim(queue, await submit(queue));
    faults.next('TransactWriteItems', conflict, { times: Infinity });
    const ending = queue.jobs.settle(running, completeJob(running, RESULT, queue.clock.nowMs()));
    expect(await refused(ending)).toBe('STORE_UNAVAILABLE');
    // Whoever had it is writing its end at this moment: nobody else's to claim.
    faults.next('PutItem', failWith(conflicted));
    queue.clock.advanceSeconds(31);
    expect(await queue.jobs.claim(running, LEASE)).toBeUndefined();
  });

  test('an answer that is lost and a call that is sent again change nothing', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    faults.next('PutItem', loseAnswer);
    faults.next('UpdateItem', loseAnswer);
    const job = await submit(queue);
    expect(await openJobs(queue)).toEqual([{ ...job, notBeforeMs: undefined }]);

    faults.next('PutItem', loseAnswer);
    const first = await claim(queue, job);
    expect(await jobOf(queue, job.id)).toEqual(first);

    faults.next('UpdateItem', loseAnswer);
    expect(await queue.jobs.renew(first, LEASE.leaseMs)).toBe(true);

    faults.next('PutItem', loseAnswer);
    const back = putBackJob(first);
    expect(await queue.jobs.settle(first, back)).toBe(true);

    faults.next('TransactWriteItems', loseAnswer);
    const second = await claim(queue, back);
    expect(await queue.jobs.settle(second, completeJob(second, RESULT, queue.clock.nowMs()))).toBe(true);
    expect(faults.left).toBe(0);
    expect(await queue.reads.totals()).toEqual({ pending: 0, completed: 1, failed: 0 });
  });
});
