import { type Backoff, backoffDelayMs, checkBackoff } from '../../domain/resilience/backoff.ts';
import { limitTime, pause } from '../../time-limit.ts';
import { type Classify, classify as classifyError } from './retryable.ts';

export interface RetryPolicy extends Backoff {
  /** Attempts after the first, >= 0. */
  retries: number;
  /** The deadline for all attempts and waits together, milliseconds. An attempt under way is told to stop. */
  totalMs: number;
  /** An attempt that would have less than this until the deadline is not begun, milliseconds; the first always is. */
  attemptMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  retries: 3,
  baseMs: 1_000,
  maxMs: 60_000,
  multiplier: 2,
  totalMs: 300_000,
  attemptMs: 0,
};

export interface RetryRunOptions extends Partial<RetryPolicy> {
  signal?: AbortSignal;
  /** Which errors are worth another attempt; {@link classifyError} unless the call knows better. */
  classify?: Classify;
  /** Told after every attempt that failed, and every ten seconds of a wait: to wait for its time is progress, too. */
  onProgress?: (() => void) | undefined;
  /** The task goes on when this run has failed: somebody will run it again, under the same name. */
  resumable?: boolean;
}

/** How a run ended. `aborted`: its caller gave up, or the process stops; that says nothing about the task. */
export type RetryResult = 'success' | 'failed' | 'aborted';

/** One attempt, after it. */
export interface AttemptReport {
  task: string;
  /** 1, 2, … within this run. */
  attempt: number;
  /** Absent for an attempt that succeeded. */
  error?: unknown;
  /** The wait before the next attempt, milliseconds; absent when this was the last. */
  waitMs?: number;
}

/** One run, after it. */
export interface RunReport {
  task: string;
  result: RetryResult;
  resumable: boolean;
}

export interface Retry {
  /**
   * Runs `attempt` (with its number, from 1 on) until it succeeds, and gives back what it gave. Throws its last error
   * when that is not worth another attempt, the retries are used up, the deadline is near, or `signal` has fired: a wait
   * ends at once then. An attempt must heed the signal it gets; it is awaited in any case, because its outcome counts.
   * @param task Names the work, such as `csp_delete:sbx-1`: its attempts are one story in logs and statistics.
   */
  run<T>(
    task: string,
    attempt: (n: number, signal: AbortSignal) => Promise<T>,
    options?: RetryRunOptions,
  ): Promise<T>;
}

export interface RetryDeps {
  /** What a run does unless it says otherwise. */
  policy?: Partial<RetryPolicy>;
  /** Told about every attempt, and at last about the run; what they throw is not the call's concern. */
  onAttempt?: (report: AttemptReport) => void;
  onEnd?: (report: RunReport) => void;
  /** Fires when the process stops: no attempt is begun after that, and no wait goes on. */
  stopping?: AbortSignal;
  /** From [0, 1). */
  random?: () => number;
  monotonicMs?: () => number;
  /** Waits, or less when the signal fires. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const MAX_TIMER_MS = 2 ** 31 - 1;
const PROGRESS_EVERY_MS = 10_000;
const UNINTERRUPTED = new AbortController().signal;

/** Attempts with exponential backoff. Throws a `RangeError` for a policy that cannot be meant. */
export function createRetry(deps: RetryDeps = {}): Retry {
  const defaults = checked({ ...DEFAULT_RETRY_POLICY, ...deps.policy });
  const { random = Math.random, monotonicMs = () => performance.now(), wait = pause } = deps;
  const stopping = deps.stopping ?? new AbortController().signal;

  async function rest(ms: number, signal: AbortSignal, onProgress?: () => void): Promise<void> {
    const stepMs = onProgress ? PROGRESS_EVERY_MS : ms;
    for (let leftMs = ms; leftMs > 0 && !signal.aborted; leftMs -= stepMs) {
      await wait(Math.min(leftMs, stepMs), signal);
      onProgress?.();
    }
  }

  return {
    async run(task, attempt, options = {}) {
      const {
        signal = UNINTERRUPTED,
        classify = classifyError,
        onProgress,
        resumable = false,
        ...policyOfRun
      } = options;
      const policy = checked({ ...defaults, ...policyOfRun });
      signal.throwIfAborted();
      const deadlineMs = monotonicMs() + policy.totalMs;
      const time = limitTime(policy.totalMs, signal);
      const gaveUp = () => signal.aborted || stopping.aborted;

      /** The wait after attempt n failed, milliseconds; `undefined` when there is no further attempt. */
      const waitAfter = (n: number, error: unknown): number | undefined => {
        if (time.signal.aborted || stopping.aborted || n > policy.retries) return undefined;
        const verdict = classify(error);
        if (!verdict.retry) return undefined;
        const waitMs = verdict.afterMs ?? backoffDelayMs(policy, n - 1, random());
        return monotonicMs() + waitMs + policy.attemptMs < deadlineMs ? waitMs : undefined;
      };

      let result: RetryResult = 'failed';
      try {
        for (let n = 1; ; n++) {
          try {
            const value = await attempt(n, time.signal);
            tell(deps.onAttempt, { task, attempt: n });
            result = 'success';
            return value;
          } catch (error) {
            const waitMs = waitAfter(n, error);
            tell(deps.onAttempt, { task, attempt: n, error, ...(waitMs !== undefined && { waitMs }) });
            onProgress?.();
            if (waitMs !== undefined)
              await rest(waitMs, AbortSignal.any([time.signal, stopping]), onProgress);
            if (gaveUp()) result = 'aborted';
            if (waitMs === undefined || time.signal.aborted || stopping.aborted) throw error;
          }
        }
      } finally {
        time.clear();
        tell(deps.onEnd, { task, result, resumable });
      }
    },
  };
}

/** Statistics fail open: the call goes on whatever becomes of them. */
function tell<Report>(listener: ((report: Report) => void) | undefined, report: Report): void {
  try {
    listener?.(report);
  } catch {
    // Whoever listens keeps its own log.
  }
}

function checked(policy: RetryPolicy): RetryPolicy {
  const { retries, totalMs, attemptMs } = policy;
  checkBackoff(policy);
  if (!Number.isSafeInteger(retries) || retries < 0) {
    throw new RangeError(`retries must be a whole number >= 0, not ${retries}`);
  }
  if (!(totalMs > 0 && totalMs <= MAX_TIMER_MS)) {
    throw new RangeError(`totalMs must be > 0 and <= ${MAX_TIMER_MS}, not ${totalMs}`);
  }
  if (!(attemptMs >= 0)) throw new RangeError(`attemptMs must be >= 0, not ${attemptMs}`);
  return policy;
}
