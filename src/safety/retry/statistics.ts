import { type Clock, systemClock } from '../../clock.ts';
import type {
  EndedWindow,
  OpenWindow,
  RetryBucket,
  RetryWindowStore,
  WindowAnomaly,
} from '../../domain/resilience/retry-window.ts';
import { limitTime } from '../../time-limit.ts';
import { createRetryHistogram } from './histogram.ts';
import { createRetryLog, errorWord, type LoggedAttempt } from './log.ts';
import { createRetryRate, type RateReport } from './rate.ts';
import type { AttemptReport, RunReport } from './retry.ts';
import { createSpikeDetector, type Spike, type SpikeReport } from './spikes.ts';
import { createRetryWindows, type Noticed } from './windows.ts';

export interface RetryStatisticsDeps {
  clock?: Clock;
  /** Where replicas tell each other of their tasks; without it this process is alone. */
  store?: RetryWindowStore;
  /** The retry rate is of the jobs of so long, milliseconds; an hour unless given. */
  rateWindowMs?: number;
  /** Five minutes unless given. */
  spikeWindowMs?: number;
  /** After a spike no other is told for so long; an hour unless given. */
  spikeCooldownMs?: number;
  /** A task is over, after so many attempts. */
  onEnded?: (bucket: RetryBucket) => void;
  /** A task has become strange; told once. */
  onWindowAnomaly?: (anomaly: WindowAnomaly, window: OpenWindow) => void;
  /** The retry rate has become strange; told again only after it was not. */
  onRateAnomaly?: (rate: RateReport) => void;
  onSpike?: (spike: Spike) => void;
}

/** What an operator sees of the retries. Times are epoch milliseconds. */
export interface RetriesReport {
  /** Tasks that ended on this replica since its start, by their attempts. */
  attempts: Record<RetryBucket, number>;
  rate: RateReport & { windowMs: number };
  spike: SpikeReport;
  /** Tasks under way and ended ones, of all replicas. */
  open: OpenWindow[];
  ended: EndedWindow[];
  /** False while the store is out of reach: the tasks are this replica's own. */
  shared: boolean;
  tasks: { task: string; attempts: LoggedAttempt[] }[];
}

/** Everything that is counted about retries. All but `share` and `report` takes no time and never throws. */
export interface RetryStatistics {
  /** For `createRetry`. */
  onAttempt(report: AttemptReport): void;
  onEnd(report: RunReport): void;
  /** The store sends a call again. It counts as a retry, not as a job: there are a thousand store calls to each job. */
  storeRetried(operation: string, attempt: number, error: unknown, waitMs: number): void;
  /** A resumable task is given up on: its last run was its last. */
  gaveUp(task: string): void;
  /**
   * Looks for tasks that take too long, and exchanges tasks with the other replicas. Throws when the store is away. `isBeat`:
   * it is called all the time, and need not ask the others each time where there is nothing to tell.
   */
  share(signal?: AbortSignal, options?: { isBeat?: boolean }): Promise<void>;
  /** `task`: only tasks whose names begin so. Never throws. */
  report(task?: string, signal?: AbortSignal): Promise<RetriesReport>;
}

const HOUR_MS = 3_600_000;
const FIVE_MINUTES_MS = 300_000;
const UNINTERRUPTED = new AbortController().signal;
/** The store gets so long for its part of a report. */
const REPORT_WITHIN_MS = 1_000;

/** A name may be a sort key in the store: ids of the provider's own making are cut. */
const MAX_TASK_LENGTH = 256;
const cut = (task: string): string => task.slice(0, MAX_TASK_LENGTH);

/** Throws a `RangeError` for a window or a cooldown that cannot be meant. */
export function createRetryStatistics(deps: RetryStatisticsDeps = {}): RetryStatistics {
  const { clock = systemClock, store, rateWindowMs = HOUR_MS } = deps;
  const log = createRetryLog();
  const histogram = createRetryHistogram();
  const windows = createRetryWindows();
  const rate = createRetryRate({ windowMs: rateWindowMs });
  const spikes = createSpikeDetector({
    windowMs: deps.spikeWindowMs ?? FIVE_MINUTES_MS,
    cooldownMs: deps.spikeCooldownMs ?? HOUR_MS,
    startMs: clock.nowMs(),
  });

  const tell = ({ anomalies, window }: Noticed<OpenWindow>) => {
    for (const anomaly of anomalies) deps.onWindowAnomaly?.(anomaly, window);
  };
  const retried = (nowMs: number) => {
    const spike = spikes.retried(nowMs);
    if (spike) deps.onSpike?.(spike);
  };

  function end(task: string, result: EndedWindow['result']): void {
    const nowMs = clock.nowMs();
    const ended = windows.ended(cut(task), result, nowMs);
    if (!ended) return;
    tell(ended);
    const { attempts } = ended.window;
    const bucket = histogram.count(attempts);
    deps.onEnded?.(bucket);
    if (rate.ended(attempts > 1, nowMs)) deps.onRateAnomaly?.(rate.report(nowMs));
  }

  return {
    onAttempt({ task, attempt, error, waitMs }) {
      const nowMs = clock.nowMs();
      const outcome = error === undefined ? 'success' : errorWord(error);
      log.add(cut(task), { atMs: nowMs, attempt, outcome, waitMs });
      const attempted = windows.attempted(cut(task), nowMs);
      tell(attempted);
      if (attempted.isRetry) retried(nowMs);
    },
    onEnd({ task, result, resumable }) {
      if (result === 'success' || (result === 'failed' && !resumable)) end(task, result);
      else if (!resumable) windows.forget(cut(task));
    },
    storeRetried(operation, attempt, error, waitMs) {
      const nowMs = clock.nowMs();
      log.add(`store:${operation}`, { atMs: nowMs, attempt, outcome: errorWord(error), waitMs });
      retried(nowMs);
    },
    gaveUp: (task) => end(task, 'failed'),
    async share(signal = UNINTERRUPTED, options) {
      for (const each of windows.overdue(clock.nowMs())) tell(each);
      if (store) await windows.share(store, clock.nowMs(), signal, options);
    },
    async report(task = '', signal) {
      const nowMs = clock.nowMs();
      const time = limitTime(REPORT_WITHIN_MS, signal);
      const [stored] = await Promise.all([
        store?.readEnded(nowMs, time.signal).catch(() => undefined),
        store && windows.listen(store, nowMs, time.signal).catch(() => undefined),
      ]);
      time.clear();
      const isAskedFor = (window: OpenWindow) => window.task.startsWith(task);
      return {
        attempts: histogram.counts(),
        rate: { ...rate.report(nowMs), windowMs: rateWindowMs },
        spike: spikes.report(nowMs),
        open: windows.open().filter(isAskedFor),
        ended: newestFirst([...windows.recent(), ...(stored ?? [])]).filter(isAskedFor),
        shared: stored !== undefined,
        tasks: log.tasks(task),
      };
    },
  };
}

const MAX_ENDED = 100;

/** The ones that ended last, each once: what ended here is in the store, too. */
function newestFirst(windows: EndedWindow[]): EndedWindow[] {
  const unique = new Map(windows.map((window) => [`${window.endedAtMs} ${window.task}`, window]));
  return [...unique.values()].sort((a, b) => b.endedAtMs - a.endedAtMs).slice(0, MAX_ENDED);
}
