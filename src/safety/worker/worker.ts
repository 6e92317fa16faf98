import { hostname } from 'node:os';
import { type Clock, systemClock } from '../../clock.ts';
import { isClockOff } from '../../domain/errors.ts';
import {
  type AnyJobRequest,
  claimableAtMs,
  type JobError,
  type JobOutcome,
  type JobReads,
  type JobRequest,
  type JobResult,
  type JobStore,
  type RunningJob,
} from '../../domain/job.ts';
import type { RaiseAlert } from '../../domain/resilience/alert.ts';
import { runWithCorrelation } from '../../telemetry/correlation.ts';
import { pause } from '../../time-limit.ts';
import { createHeartbeat, type Heartbeat, restBeating } from '../heartbeat/heartbeat.ts';
import { CLAIM_MS, type DoJob, runJob } from './run-job.ts';

/** Told about every run that ended. `durationMs` is the run's, without the writing of how it ended. */
export interface JobReport<Request extends AnyJobRequest = JobRequest> {
  job: RunningJob<Request>;
  outcome: JobOutcome;
  durationMs: number;
  error?: unknown;
}

export interface WorkerDeps<Request extends AnyJobRequest = JobRequest, Result = JobResult> {
  jobs: JobStore<Request, Result>;
  reads: Pick<JobReads<Request, Result>, 'open' | 'totals'>;
  work: DoJob<Request, Result>;
  clock?: Clock;
  /** Names this replica in the claims; the machine's name unless given. */
  replicaId?: string;
  heartbeat?: Heartbeat;
  /** Jobs under way at once, whatever their type, >= 1. */
  maxWorkers: number;
  /** Every type there is, where only one job of each may be under way at once, over all replicas. */
  oneOfEach?: readonly Request['type'][];
  /** How often to look for what nobody announced, milliseconds, > 0. */
  intervalMs: number;
  /**
   * How often to look instead where nothing has been open for `afterMs`, and nobody has said that there is something new.
   * What is announced may take so long to be seen.
   */
  idle?: { afterMs: number; intervalMs: number } | undefined;
  /** What is kept of an error. */
  describeError?: ((error: unknown) => JobError) | undefined;
  report?: (report: JobReport<Request>) => void;
  /** A job's first run begins, so long after its submission. */
  onStart?: (type: Request['type'], delayMs: number) => void;
  onQueueLength?: (pending: number) => void;
  /** The queue could not be looked at, or a job's end not written. It will be tried again. */
  onError?: (error: unknown) => void;
  alert?: RaiseAlert;
}

export interface Worker {
  readonly heartbeat: Heartbeat;
  /** Idempotent. */
  start(): void;
  /** Takes no more, tells the runs under way to end their step, and puts their jobs back. Idempotent. */
  stop(): Promise<void>;
  /** A job was submitted here: it is looked for at once. */
  announce(): void;
  /** A job may have been submitted somewhere: it is looked for at once. */
  wake(): void;
  /** Jobs that wait, by all replicas' submissions, as of the last look. */
  queueLength(): number;
  /** Jobs that all replicas have ever completed, as of the last look. */
  completedJobs(): number;
}

/** The generation of a job that was submitted and claimed, and nothing else. */
const FIRST_CLAIM = 2;
/** The shortest time between two looks that nobody asked for. */
const MIN_REST_MS = 20;

/**
 * Works the queue off in the order of submission, at most `maxWorkers` jobs at once here. Where only one of a type may be
 * under way, a job that waits holds up those of its own type behind it, and no others. Any replica takes over what
 * another did not finish. Throws a `RangeError` for numbers that cannot be meant.
 */
export function createWorker<Request extends AnyJobRequest, Result>(
  deps: WorkerDeps<Request, Result>,
): Worker {
  const { jobs, reads, clock = systemClock, replicaId = hostname(), heartbeat = createHeartbeat() } = deps;
  const { onError = () => undefined, oneOfEach } = deps;
  const { idle = { afterMs: 0, intervalMs: deps.intervalMs } } = deps;
  if (!(deps.intervalMs > 0)) throw new RangeError(`intervalMs must be > 0, not ${deps.intervalMs}`);
  if (!(deps.maxWorkers >= 1)) throw new RangeError(`maxWorkers must be >= 1, not ${deps.maxWorkers}`);
  let stopping = new AbortController();
  let working: Promise<void> | undefined;
  let wakeUp = new AbortController();
  let totals = { pending: 0, completed: 0 };
  let countedMs = Number.NEGATIVE_INFINITY;
  /** Until then something may be open, on the monotonic clock. */
  let idleFromMs = 0;
  /** The runs under way here, by job. */
  const running = new Map<string, Promise<void>>();

  const setTotals = (pending: number, completed: number): void => {
    totals = { pending: Math.max(0, pending), completed };
    deps.onQueueLength?.(totals.pending);
  };

  const stayAwake = (): void => {
    idleFromMs = performance.now() + idle.afterMs;
  };

  /** Counting reads the whole queue: once per interval is enough, in between it is reckoned. */
  async function count(signal: AbortSignal): Promise<void> {
    if (performance.now() - countedMs < deps.intervalMs) return;
    const { pending, completed } = await reads.totals(signal);
    countedMs = performance.now();
    setTotals(pending, completed);
  }

  /** Claims what can be had and begins it. Returns when to look again at the latest, epoch milliseconds. */
  async function look(signal: AbortSignal): Promise<number> {
    await count(signal);
    if (running.size >= deps.maxWorkers) return Number.POSITIVE_INFINITY;
    const taken = new Set<Request['type']>();
    let againAtMs = Number.POSITIVE_INFINITY;
    for await (const job of reads.open(signal)) {
      stayAwake();
      if (running.size >= deps.maxWorkers || taken.size === oneOfEach?.length || signal.aborted) break;
      const { type } = job.request;
      if (taken.has(type)) continue;
      if (oneOfEach !== undefined) taken.add(type);
      // Its claim may have lapsed while the store was away; it can still be renewed.
      if (running.has(job.id)) continue;
      const atMs = claimableAtMs(job);
      if (atMs > clock.nowMs()) {
        againAtMs = Math.min(againAtMs, atMs);
        continue;
      }
      // Not given up when the worker is told to stop: a claim whose answer nobody awaits may have been granted.
      const claimed = await jobs.claim(job, { worker: replicaId, leaseMs: CLAIM_MS });
      if (claimed === undefined) continue;
      if (job.status === 'pending') setTotals(totals.pending - 1, totals.completed);
      begin(claimed);
    }
    return againAtMs;
  }

  function begin(job: RunningJob<Request>): void {
    if (job.generation === FIRST_CLAIM) {
      deps.onStart?.(job.request.type, Math.max(0, job.startedAtMs - job.submittedAtMs));
    }
    heartbeat.beat();
    const run = carryOut(job)
      .catch(onError)
      .finally(() => {
        running.delete(job.id);
        heartbeat.beat();
        // There is room for the next one now.
        wakeUp.abort();
      });
    running.set(job.id, run);
  }

  async function carryOut(job: RunningJob<Request>): Promise<void> {
    const startedMs = performance.now();
    const ids = { requestId: job.id, correlationId: job.submitter.correlationId };
    await runWithCorrelation(ids, async () => {
      const { outcome, error } = await runJob(
        {
          jobs,
          work: deps.work,
          clock,
          onProgress: heartbeat.beat,
          describeError: deps.describeError,
        },
        job,
        stopping.signal,
      );
      const durationMs = Math.round(performance.now() - startedMs);
      deps.report?.({ job, outcome, durationMs, ...(error !== undefined && { error }) });
      if (outcome === 'completed') setTotals(totals.pending, totals.completed + 1);
      if (outcome === 'postponed' || outcome === 'interrupted')
        setTotals(totals.pending + 1, totals.completed);
      if (outcome === 'abandoned') {
        const context = { job_id: job.id, type: job.request.type };
        deps.alert?.({ task: 'worker', reason: 'job_abandoned', severity: 'error', context });
      }
    });
  }

  /** With every hand full, or a queue that cannot be read, to wait is no progress. */
  async function rest(ms: number, isWell: boolean, signal: AbortSignal): Promise<void> {
    if (!isWell || running.size >= deps.maxWorkers) await pause(ms, signal);
    else await restBeating(ms, { heartbeat, everyMs: deps.intervalMs, signal });
  }

  async function workForever(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Whoever announces a job from here on is heard: the look that follows may have passed its place already.
      wakeUp = new AbortController();
      let restMs = deps.intervalMs;
      let isWell = false;
      try {
        const isIdle = () => running.size === 0 && performance.now() >= idleFromMs;
        const againAtMs = await look(signal);
        if (running.size < deps.maxWorkers) heartbeat.beat();
        restMs = Math.min(
          isIdle() ? idle.intervalMs : restMs,
          Math.max(MIN_REST_MS, againAtMs - clock.nowMs()),
        );
        isWell = true;
      } catch (error) {
        // Nothing is wrong with the queue, and to wait for a clock is no hang.
        if (isClockOff(error)) heartbeat.beat();
        else if (!signal.aborted) onError(error);
      }
      await rest(restMs, isWell, AbortSignal.any([signal, wakeUp.signal]));
    }
  }

  return {
    heartbeat,
    start() {
      if (working !== undefined) return;
      stopping = new AbortController();
      heartbeat.begin();
      working = workForever(stopping.signal);
    },
    async stop() {
      stopping.abort(new Error('the broker is shutting down'));
      await working;
      await Promise.all(running.values());
      working = undefined;
      heartbeat.end();
    },
    announce() {
      setTotals(totals.pending + 1, totals.completed);
      stayAwake();
      wakeUp.abort();
    },
    wake() {
      stayAwake();
      wakeUp.abort();
    },
    queueLength: () => totals.pending,
    completedJobs: () => totals.completed,
  };
}
