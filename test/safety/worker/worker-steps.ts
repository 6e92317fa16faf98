import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { JOB_TYPES, type JobRequest, type JobResult } from '../../../src/domain/job.ts';
import { createHeartbeat } from '../../../src/safety/heartbeat/heartbeat.ts';
import type { DoJob } from '../../../src/safety/worker/run-job.ts';
import {
  createWorker,
  type JobReport,
  type Worker,
  type WorkerDeps,
} from '../../../src/safety/worker/worker.ts';
import type { Alert } from '../../../src/usecases/alert.ts';
import { jobOf, type Queue, SUBMITTER, SYNC } from '../../support/broker/jobs.ts';
import { until } from '../../support/until.ts';

/** What the work of these tests results in. */
export const RESULT: JobResult = { counts: { created: 1 }, durationMs: 3 };
/** Longer than any test: what happens within a test was not found by looking now and then. */
const NEVER_MS = 600_000;

/** Work that a test holds in its hands: every run waits until the test lets it end. */
export function heldWork() {
  const runs: { request: JobRequest; id: string; signal: AbortSignal; end: (error?: unknown) => void }[] = [];
  const work: DoJob = (request, { requestId, signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<JobResult>();
    // Real work ends its step and then says why it went no further.
    signal.addEventListener('abort', () => reject(signal.reason));
    const end = (error?: unknown) => (error === undefined ? resolve(RESULT) : reject(error));
    runs.push({ request, id: requestId, signal, end });
    return promise;
  };
  const begun = (count: number) =>
    until(() => runs.length >= count && runs[count - 1], { what: `${count} runs began` });
  return { work, runs, begun };
}

/** A worker on a queue, started, and what it told. */
export function startWorker(queue: Queue, work: DoJob, options: Partial<WorkerDeps> = {}) {
  const reports: JobReport[] = [];
  const errors: unknown[] = [];
  const alerts: Alert[] = [];
  const delays: number[] = [];
  const lengths: number[] = [];
  const worker: Worker = createWorker({
    jobs: queue.jobs,
    reads: queue.reads,
    work,
    clock: queue.clock,
    replicaId: randomUUID(),
    heartbeat: createHeartbeat(),
    maxWorkers: 2,
    intervalMs: NEVER_MS,
    report: (report) => reports.push(report),
    onStart: (_type, delayMs) => delays.push(delayMs),
    onQueueLength: (pending) => lengths.push(pending),
    onError: (error) => errors.push(error),
    alert: (alert) => alerts.push(alert),
    oneOfEach: JOB_TYPES,
    ...options,
  });
  worker.start();
  onTestFinished(() => worker.stop());
  const submit = async (request: JobRequest = SYNC) => {
    const job = await queue.jobs.submit(request, SUBMITTER);
    worker.announce();
    return job.id;
  };
  const ended = (id: string) =>
    until(async () => 'endedAtMs' in (await jobOf(queue, id)) && (await jobOf(queue, id)), {
      what: `${id} ended`,
    });
  return { worker, reports, errors, alerts, delays, lengths, submit, ended };
}

/** Work that is done as soon as it begins. */
export const atOnce: DoJob = async () => RESULT;
