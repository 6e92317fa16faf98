import { randomUUID } from 'node:crypto';
import { systemClock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import type { AnyJobRequest, Job, JobError, JobQuery, JobReads, JobStore } from '../../domain/job.ts';
import { currentCorrelation } from '../../telemetry/correlation.ts';
import { createJobsInMemory } from './jobs-in-memory.ts';
import type { RunContext } from './run-job.ts';
import { createWorker, type Worker, type WorkerDeps } from './worker.ts';

/** What a task is given beside its input. */
export interface TaskContext extends RunContext {
  /** A sign of life, for a heartbeat. */
  onProgress: () => void;
}

/** Functions by the names under which jobs are submitted. Their inputs and results are JSON. */
export type Tasks = Readonly<Record<string, (input: never, context: TaskContext) => Promise<unknown>>>;

type NameOf<T extends Tasks> = keyof T & string;
type InputOf<T extends Tasks, Name extends NameOf<T>> = Parameters<T[Name]>[0];

/** A job as it is kept: its status, and its result or error once it has ended. */
export type TaskJob = Job<AnyJobRequest, unknown>;

/** Runs jobs in the background: a {@link Worker}, and what an application submits to it. */
export interface TaskWorker<T extends Tasks> extends Worker {
  /** Puts a job at the end of the queue. Rejects with a `RangeError` for a name that is no task's. */
  submit<Name extends NameOf<T>>(name: Name, input: InputOf<T, Name>, signal?: AbortSignal): Promise<TaskJob>;
  /** One job, for a week after its end. */
  get(id: string, signal?: AbortSignal): Promise<TaskJob | undefined>;
  /** The newest first; `limit` is 100 unless given. */
  list(
    query?: Partial<JobQuery<AnyJobRequest>>,
    signal?: AbortSignal,
  ): Promise<{ jobs: TaskJob[]; after?: string | undefined }>;
}

export interface TaskWorkerOptions<T extends Tasks>
  extends Partial<Omit<WorkerDeps<AnyJobRequest, unknown>, 'jobs' | 'reads' | 'work'>> {
  tasks: T;
  /** Where the queue is; in memory unless given. */
  queue?: { jobs: JobStore<AnyJobRequest, unknown>; reads: JobReads<AnyJobRequest, unknown> };
}

const MAX_WORKERS = 5;
const INTERVAL_MS = 1_000;
const LIMIT = 100;
const MAX_MESSAGE_LENGTH = 500;

/** A worker for tasks, not started yet. Throws a `RangeError` for numbers that cannot be meant. */
export function createTaskWorker<T extends Tasks>(options: TaskWorkerOptions<T>): TaskWorker<T> {
  const { tasks, clock = systemClock, maxWorkers = MAX_WORKERS, intervalMs = INTERVAL_MS } = options;
  const { describeError = describe } = options;
  const { jobs, reads } = options.queue ?? createJobsInMemory({ clock, newId: randomUUID });
  const worker = createWorker<AnyJobRequest, unknown>({
    ...options,
    jobs,
    reads,
    clock,
    maxWorkers,
    intervalMs,
    describeError,
    work: async ({ type, options: input }, context, onProgress) =>
      await callTask(tasks, type, input, { ...context, onProgress }),
  });
  return {
    ...worker,
    async submit(name, input, signal) {
      if (!Object.hasOwn(tasks, name)) throw new RangeError(`there is no task ${name}`);
      const { requestId = randomUUID(), correlationId = requestId } = currentCorrelation() ?? {};
      const submitter = { actor: 'application', requestId, correlationId };
      const job = await jobs.submit({ type: name, options: input }, submitter, signal);
      worker.announce();
      return job;
    },
    get: (id, signal) => reads.get(id, signal),
    list: (query = {}, signal) => reads.list({ limit: LIMIT, ...query }, signal),
  };
}

/** A job's input is what was submitted under its name, and `submit` takes none but its task's: the one cast stands here. */
function callTask(tasks: Tasks, name: string, input: unknown, context: TaskContext): Promise<unknown> {
  const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;
  // Another version of the program may have submitted it.
  if (task === undefined) return Promise.reject(new RangeError(`there is no task ${name}`));
  return task(input as never, context);
}

/** What is kept of an error: its code or name, and its message, cut. */
function describe(error: unknown): JobError {
  if (!(error instanceof Error))
    return { code: 'unknown', message: String(error).slice(0, MAX_MESSAGE_LENGTH) };
  const code = error instanceof BrokerError ? error.code : error.name;
  return { code, message: error.message.slice(0, MAX_MESSAGE_LENGTH) };
}
