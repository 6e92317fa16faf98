import type { Clock, NewId } from '../clock.ts';
import { backoffDelayMs } from '../domain/backoff.ts';
import { BrokerError, isClockOff } from '../domain/errors.ts';
import { ProviderError } from '../provider/provider.ts';
import type { Turn, Turns } from '../store/turns.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import type { CallContext } from '../usecases/context.ts';
import { type Heartbeat, restBeating } from './heartbeat.ts';
import type { OnProgress, RunCounts, RunNow } from './run.ts';

/** How a run ended. `skipped`: another replica has the turn, or served the interval already. */
export type RunOutcome = 'success' | 'error' | 'skipped';

/** Told about every run. `counts` is there on success. */
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
}

export interface LoopDeps {
  turns: Turns;
  clock: Clock;
  newId: NewId;
  heartbeat: Heartbeat;
  /** How often a resting loop gives a sign of life, milliseconds. */
  heartbeatEveryMs?: number;
  /** How long a turn is held without being renewed, milliseconds; it is renewed at a third of that. */
  turnTtlMs?: number;
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
/** The part of an interval after which another replica may run; the rest is for the timers' jitter. */
const SERVED_PART = 0.9;

/**
 * A loop that runs on one replica per interval. Never two runs at once; a failed run is reported, alerted, and does not
 * stop the loop. Losing the turn aborts the run's signal.
 */
export function createLoop<Options>(deps: LoopDeps, loop: LoopOptions<Options>): Loop<Options> {
  if (!(loop.intervalMs > 0)) throw new RangeError(`intervalMs must be > 0, not ${loop.intervalMs}`);
  const { turnTtlMs = TURN_TTL_MS } = deps;
  let stopping = new AbortController();
  let ticking: Promise<void> | undefined;
  const running = new Set<Promise<unknown>>();
  let nextRunAtMs: number | undefined;
  /** Gives up the last turn, where that failed: it would keep even this replica from running until it lapses. */
  let owed: (() => Promise<void>) | undefined;

  /** One run under the turn, with the moment it was granted on the monotonic clock; no counts: it was not to be had. */
  async function runUnderTurn(
    options: Options,
    onlyIfDue: boolean,
    context: CallContext,
    onProgress: OnProgress = deps.heartbeat.beat,
  ) {
    if (owed) await owed();
    // Seen through even when the loop is told to stop: a take whose answer nobody awaits may have been granted all the
    // same, and would keep every replica from running until it lapses.
    const taken = await deps.turns.take(loop.name, { ttlMs: turnTtlMs, onlyIfDue });
    if (!taken.turn) return { counts: undefined, freeInMs: taken.freeInMs };
    const turn = taken.turn;
    // From here on: a store that takes long to grant it must not make the interval shorter.
    const grantedAtMs = deps.clock.nowMs();
    const startedMs = performance.now();
    const lost = new AbortController();
    const stopRenewing = keepTurn(turn, lost);
    let succeeded = false;
    try {
      const signal = AbortSignal.any([context.signal, lost.signal]);
      signal.throwIfAborted();
      deps.heartbeat.beat();
      const counts = await loop.work(options, { ...context, signal }, onProgress);
      succeeded = true;
      return { counts, startedMs };
    } catch (error) {
      // It is somebody else's now, and so is the work.
      throw lost.signal.aborted ? alreadyRunning(loop.name, turnTtlMs, error) : error;
    } finally {
      deps.heartbeat.beat();
      await stopRenewing();
      // After a failure any replica may try again at its next tick.
      const nextRunAtMs = succeeded ? grantedAtMs + loop.intervalMs * SERVED_PART : undefined;
      const giveUp = async () => {
        await deps.turns.giveUp(turn, nextRunAtMs);
        if (owed === giveUp) owed = undefined;
      };
      await giveUp().catch(() => {
        // The store is out of reach: the turn lapses by itself, or we are back before that.
        owed = giveUp;
      });
    }
  }

  /**
   * Renews the turn at a third of its time until the function it returns is called. That one awaits a renewal under
   * way, which must not arrive after the turn is given up.
   */
  function keepTurn(turn: Turn, lost: AbortController): () => Promise<void> {
    let renewal = Promise.resolve();
    const renew = async () => {
      const kept = await deps.turns.renew(turn, turnTtlMs, lost.signal).catch(() => true);
      if (!kept) lost.abort(new Error(`the turn of ${loop.name} was lost`));
    };
    const timer = setInterval(() => {
      renewal = renew();
    }, turnTtlMs / 3);
    return () => {
      clearInterval(timer);
      return renewal;
    };
  }

  const track = <T>(run: Promise<T>): Promise<T> => {
    running.add(run);
    return run.finally(() => running.delete(run));
  };

  /** False when the run failed. */
  async function tick(onlyIfDue: boolean): Promise<boolean> {
    const requestId = `job-${loop.name}-${Math.floor(deps.clock.nowMs() / 1000)}`;
    const context: CallContext = {
      actor: loop.action,
      requestId,
      correlationId: deps.newId(),
      signal: stopping.signal,
    };
    const startedMs = performance.now();
    let succeeded = true;
    await deps.correlate(context, async () => {
      try {
        const run = await track(runUnderTurn(loop.options, onlyIfDue, context));
        if (run.counts) report('success', run.startedMs, { counts: run.counts });
        else report('skipped', startedMs);
      } catch (error) {
        if (stopping.signal.aborted) return;
        succeeded = false;
        report('error', startedMs, { error });
        // That is said once, and not for every loop.
        if (isClockOff(error)) return;
        deps.alert({
          task: loop.name,
          reason: 'run_failed',
          severity: 'error',
          context: { error: error instanceof Error ? error.message : 'unknown' },
        });
      }
    });
    deps.heartbeat.beat();
    return succeeded;
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
      const jitter = 0.9 + Math.random() * 0.2;
      const restMs = Math.min(
        loop.intervalMs * jitter,
        failures > 0
          ? backoffDelayMs(FAILURE_BACKOFF, failures - 1, Math.random())
          : Number.POSITIVE_INFINITY,
      );
      const everyMs = deps.heartbeatEveryMs ?? HEARTBEAT_EVERY_MS;
      nextRunAtMs = deps.clock.nowMs() + restMs;
      await restBeating(restMs, { heartbeat: deps.heartbeat, everyMs, signal });
      nextRunAtMs = undefined;
    }
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
      stopping.abort(new Error('the broker is shutting down'));
      await Promise.allSettled([ticking, ...running]);
      deps.heartbeat.end();
      ticking = undefined;
    },

    nextRunAtMs: () => nextRunAtMs,

    async runNow(options, context, onProgress) {
      const startedMs = performance.now();
      const signal = AbortSignal.any([context.signal, stopping.signal]);
      try {
        const beat: OnProgress = (progress) => {
          deps.heartbeat.beat();
          onProgress?.(progress);
        };
        const run = await track(runUnderTurn(options, false, { ...context, signal }, beat));
        if (!run.counts) throw alreadyRunning(loop.name, run.freeInMs);
        const durationMs = report('success', run.startedMs, { counts: run.counts });
        return { counts: run.counts, durationMs };
      } catch (error) {
        if (error instanceof BrokerError && error.code === 'ALREADY_RUNNING') throw error;
        // Told to stop: no failure of the run's.
        if (signal.aborted) throw error;
        report('error', startedMs, { error });
        throw error instanceof ProviderError ? providerUnavailable(error) : error;
      }
    },
  };
}

const alreadyRunning = (loop: string, freeInMs: number, cause?: unknown) =>
  new BrokerError(
    'ALREADY_RUNNING',
    `A ${loop} run is under way at this moment; its result will be in the log.`,
    {
      cause,
      retryAfterSeconds: Math.max(1, Math.ceil(freeInMs / 1000)),
    },
  );

const providerUnavailable = (error: ProviderError) =>
  new BrokerError(
    'PROVIDER_UNAVAILABLE',
    `The provider could not be asked (${error.kind}); nothing was changed.`,
    {
      cause: error,
      retryAfterSeconds: Math.ceil((error.retryAfterMs ?? 30_000) / 1000),
    },
  );
