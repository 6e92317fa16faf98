import type { Clock, NewId } from '../clock.ts';
import { BrokerError, hasCode, isClockOff, shuttingDown } from '../domain/errors.ts';
import { backoffDelayMs } from '../domain/resilience/backoff.ts';
import { outcomeOf, type RunOutcome } from '../domain/run-outcome.ts';
import { ProviderError } from '../provider/provider.ts';
import { type Heartbeat, restBeating } from '../safety/index.ts';
import type { Turns } from '../store/shared/turns.ts';
import { untilAborted } from '../time-limit.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import type { CallContext } from '../usecases/context.ts';
import type { ComeBack } from './come-back.ts';
import type { EndedRun, OnProgress, RunCounts, RunNow } from './run.ts';
import { alreadyRunning, createUnderTurn } from './under-turn.ts';

/** Told about every run. `counts` is there when it came to its end, and where a run that was aborted could say what it had done. */
export interface RunReport {
  loop: string;
  action: string;
  outcome: RunOutcome;
  durationMs: number;
  counts?: RunCounts;
  error?: unknown;
}

export interface LoopOptions<Options> {
  /** Names the turn and the metrics' label. */
  name: string;
  /** Names the run in logs and in the event history, such as `background_sync`. */
  action: string;
  intervalMs: number;
  /** What the loop itself runs with. */
  options: Options;
  work: (options: Options, context: CallContext, onProgress: OnProgress) => Promise<RunCounts>;
  /** When a run that has left something undone is followed by another, where that is sooner than by the interval. */
  comeBack?: ComeBack;
}

export interface LoopDeps {
  turns: Turns;
  clock: Clock;
  newId: NewId;
  heartbeat: Heartbeat;
  /** How often a resting loop gives a sign of life, milliseconds. */
  heartbeatEveryMs?: number;
  /** Lets the time between runs pass. */
  rest?: typeof restBeating;
  /** How long a turn is held without being renewed, milliseconds; it is renewed at a third of that. */
  turnTtlMs?: number;
  /** Fires when a shutdown waits no longer for what is under way. */
  cutOff?: AbortSignal;
  report: (report: RunReport) => void;
  alert: RaiseAlert;
  /** Runs `work` with these ids as the correlation of all it logs and calls. */
  correlate: <T>(ids: { requestId: string; correlationId: string }, work: () => Promise<T>) => Promise<T>;
}

export interface Loop<Options> {
  readonly name: string;
  readonly intervalMs: number;
  readonly heartbeat: Heartbeat;
  /** Runs at once, then every interval, ±10 %; after a failure within minutes. Idempotent. */
  start(): void;
  /** Tells the run under way to stop after its current step and awaits it. Idempotent. */
  stop(): Promise<void>;
  /** Epoch milliseconds of this replica's next try; undefined while it does not rest. */
  nextRunAtMs(): number | undefined;
  runNow: RunNow<Options>;
}

const TURN_TTL_MS = 30_000;
const HEARTBEAT_EVERY_MS = 10_000;
/** The rest after runs that failed in a row, where the interval is longer: what is done once a day is not put off by one. */
const FAILURE_BACKOFF = { baseMs: 60_000, maxMs: 900_000, multiplier: 2 };

/**
 * A loop that runs on one replica per interval. Never two runs at once; a failed run is reported, alerted, and does not
 * stop the loop. Losing the turn aborts the run's signal.
 */
export function createLoop<Options>(deps: LoopDeps, loop: LoopOptions<Options>): Loop<Options> {
  if (!(loop.intervalMs > 0)) throw new RangeError(`intervalMs must be > 0, not ${loop.intervalMs}`);
  let stopping = new AbortController();
  let ticking: Promise<void> | undefined;
  const running = new Set<Promise<unknown>>();
  let nextRunAtMs: number | undefined;
  /** When the next run comes, where that is sooner than by the interval, and how many in a row came so. */
  let soonMs: number | undefined;
  let soonInARow = 0;
  let resting = new AbortController();
  const underTurn = createUnderTurn({ ...deps, turnTtlMs: deps.turnTtlMs ?? TURN_TTL_MS }, loop.name);

  /** How long after this run the next one is due. */
  function dueAfterMs(counts: RunCounts): number {
    const afterMs = loop.comeBack?.(counts, soonInARow);
    if (afterMs === undefined) {
      soonInARow = 0;
      return loop.intervalMs;
    }
    soonInARow++;
    soonMs = Math.min(loop.intervalMs, afterMs);
    resting.abort();
    return soonMs;
  }

  const track = <T>(run: Promise<T>): Promise<T> => {
    running.add(run);
    return run.finally(() => running.delete(run));
  };

  /** One run, told of however it ends. `freeInMs`: the turn was not to be had. Throws what it failed with. */
  async function run(
    options: Options,
    onlyIfDue: boolean,
    context: CallContext,
    onProgress: OnProgress = deps.heartbeat.beat,
  ): Promise<EndedRun | { freeInMs: number }> {
    const startedMs = performance.now();
    try {
      const ended = await track(
        underTurn(onlyIfDue, async (turn) => {
          const signal = AbortSignal.any([context.signal, turn.lost]);
          const assertHeld = () => {
            context.assertHeld?.();
            turn.assertHeld();
          };
          signal.throwIfAborted();
          deps.heartbeat.beat();
          const work = loop.work(options, { ...context, signal, assertHeld }, onProgress);
          // What does not heed the signal in time, such as a delete that hangs, is left: its claim and its effect record
          // tell the next one of it, and the turn is given up.
          const counts = await (deps.cutOff ? untilAborted(work, deps.cutOff) : work);
          const { aborted } = signal;
          return { counts, aborted, dueInMs: aborted ? undefined : dueAfterMs(counts) };
        }),
      );
      if ('freeInMs' in ended) return ended;
      const { counts, aborted } = ended;
      const durationMs = report(aborted ? 'aborted' : outcomeOf(counts), ended.startedMs, { counts });
      return { counts, durationMs, ...(aborted && { aborted }) };
    } catch (error) {
      // Told to stop, or the turn is somebody else's by now and the work with it: no failure of the run's.
      if (context.signal.aborted || hasCode(error, 'ALREADY_RUNNING')) {
        report('aborted', startedMs);
        throw context.signal.aborted ? context.signal.reason : error;
      }
      // What a strict dry run refuses is as its operator has it.
      const isLocked = hasCode(error, 'DRY_RUN_LOCKED');
      report(isLocked ? 'refused' : 'error', startedMs, { error });
      // That the clock is off is said once, and not for every loop.
      if (!isLocked && !isClockOff(error)) {
        deps.alert({
          task: loop.name,
          reason: 'run_failed',
          severity: 'error',
          context: { error: error instanceof Error ? error.message : 'unknown' },
        });
      }
      throw error;
    } finally {
      deps.heartbeat.beat();
    }
  }

  /** False when the run failed, or lost its turn on the way, so that it is tried again sooner. */
  async function tick(onlyIfDue: boolean): Promise<boolean> {
    const requestId = `job-${loop.name}-${Math.floor(deps.clock.nowMs() / 1000)}`;
    const context: CallContext = {
      actor: loop.action,
      requestId,
      correlationId: deps.newId(),
      signal: stopping.signal,
    };
    const startedMs = performance.now();
    return deps.correlate(context, async () => {
      try {
        const ended = await run(loop.options, onlyIfDue, context);
        if ('freeInMs' in ended) report('skipped', startedMs);
        return !('aborted' in ended);
      } catch (error) {
        // Told of already.
        return hasCode(error, 'DRY_RUN_LOCKED');
      }
    });
  }

  /** Returns the duration that was told of. */
  function report(
    outcome: RunOutcome,
    startedMs: number,
    more?: Pick<RunReport, 'counts' | 'error'>,
  ): number {
    const durationMs = Math.round(performance.now() - startedMs);
    deps.report({ loop: loop.name, action: loop.action, outcome, durationMs, ...more });
    return durationMs;
  }

  async function tickForever(signal: AbortSignal): Promise<void> {
    let failures = 0;
    // At its start a replica does not count on what another has done: an unchanged world costs a run nothing.
    for (let first = true; !signal.aborted; first = false) {
      failures = (await tick(!first)) ? 0 : failures + 1;
      const retryMs = failures > 0 ? backoffDelayMs(FAILURE_BACKOFF, failures - 1, Math.random()) : Infinity;
      do {
        const byIntervalMs = loop.intervalMs * (0.9 + Math.random() * 0.2);
        await rest(Math.min(byIntervalMs, retryMs, soonMs ?? byIntervalMs), signal);
        // A run that somebody asked for meanwhile may have left something: then it is a shorter rest.
      } while (resting.signal.aborted && !signal.aborted);
    }
  }

  async function rest(ms: number, signal: AbortSignal): Promise<void> {
    soonMs = undefined;
    resting = new AbortController();
    nextRunAtMs = deps.clock.nowMs() + ms;
    await (deps.rest ?? restBeating)(ms, {
      heartbeat: deps.heartbeat,
      everyMs: deps.heartbeatEveryMs ?? HEARTBEAT_EVERY_MS,
      signal: AbortSignal.any([signal, resting.signal]),
    });
    nextRunAtMs = undefined;
  }

  return {
    name: loop.name,
    intervalMs: loop.intervalMs,
    heartbeat: deps.heartbeat,

    start() {
      if (ticking !== undefined) return;
      stopping = new AbortController();
      deps.heartbeat.begin();
      ticking = tickForever(stopping.signal);
    },

    async stop() {
      stopping.abort(shuttingDown());
      await Promise.allSettled([ticking, ...running]);
      deps.heartbeat.end();
      ticking = undefined;
    },

    nextRunAtMs: () => nextRunAtMs,

    async runNow(options, context, onProgress) {
      const signal = AbortSignal.any([context.signal, stopping.signal]);
      signal.throwIfAborted();
      const beat: OnProgress = (progress) => {
        deps.heartbeat.beat();
        onProgress?.(progress);
      };
      try {
        const ended = await run(options, false, { ...context, signal }, beat);
        if ('freeInMs' in ended) {
          // Who is to ask another replica need not be told that a run is under way here.
          signal.throwIfAborted();
          throw alreadyRunning(loop.name, ended.freeInMs);
        }
        return ended;
      } catch (error) {
        throw error instanceof ProviderError ? providerUnavailable(error) : error;
      }
    },
  };
}

const providerUnavailable = (error: ProviderError) =>
  new BrokerError(
    'PROVIDER_UNAVAILABLE',
    `The provider could not be asked (${error.kind}); nothing was changed.`,
    {
      cause: error,
      retryAfterSeconds: Math.ceil((error.retryAfterMs ?? 30_000) / 1000),
    },
  );
