import type { Clock } from '../clock.ts';
import { BrokerError } from '../domain/errors.ts';
import { type Hold, holdOn } from '../hold.ts';
import type { Turns } from '../store/shared/turns.ts';

export interface UnderTurnDeps {
  turns: Turns;
  clock: Clock;
  /** How long a turn is held without being renewed, milliseconds; it is renewed at a third of that. */
  turnTtlMs: number;
}

/**
 * What is done under a turn, which may be lost on the way. `dueInMs`: how long after its grant the loop is due again;
 * undefined where the run was aborted.
 */
export type Work<T> = (
  turn: Pick<Hold, 'lost' | 'assertHeld'>,
) => Promise<T & { dueInMs: number | undefined }>;

/** The part of an interval after which another replica may run; the rest is for the timers' jitter. */
const SERVED_PART = 0.9;

/**
 * Does work while this replica has the loop's turn. `freeInMs`: the turn was not to be had. Throws `ALREADY_RUNNING` where
 * it was lost on the way. A run that failed or was aborted serves no interval, and whichever replica comes next may run.
 */
export function createUnderTurn(deps: UnderTurnDeps, loop: string) {
  const { turns, clock, turnTtlMs } = deps;
  /** Gives up the last turn, where that failed: it would keep even this replica from running until it lapses. */
  let giveUpLater: (() => Promise<void>) | undefined;

  return async <T>(onlyIfDue: boolean, work: Work<T>) => {
    if (giveUpLater) await giveUpLater();
    // Seen through even when the loop is told to stop: a take whose answer nobody awaits may have been granted all the
    // same, and would keep every replica from running until it lapses.
    const taken = await turns.take(loop, { ttlMs: turnTtlMs, onlyIfDue });
    if (!taken.turn) return { freeInMs: taken.freeInMs };
    const turn = taken.turn;
    // From here on: a store that takes long to grant it must not make the interval shorter.
    const grantedAtMs = clock.nowMs();
    const startedMs = performance.now();
    const hold = await holdOn({
      clock: turns.clock,
      untilMs: turn.untilMs,
      ttlMs: turnTtlMs,
      renew: (signal) => turns.renew(turn, turnTtlMs, signal),
      reason: new Error(`the turn of ${loop} was lost`),
    });
    let dueInMs: number | undefined;
    try {
      const result = await work(hold);
      dueInMs = result.dueInMs;
      return { ...result, startedMs };
    } catch (error) {
      // It is somebody else's now, and so is the work.
      throw hold.lost.aborted ? alreadyRunning(loop, turnTtlMs, error) : error;
    } finally {
      await hold.release();
      const nextRunAtMs = dueInMs === undefined ? undefined : grantedAtMs + dueInMs * SERVED_PART;
      const giveUp = async () => {
        await turns.giveUp(turn, nextRunAtMs);
        if (giveUpLater === giveUp) giveUpLater = undefined;
      };
      await giveUp().catch(() => {
        // The store is out of reach: the turn lapses by itself, or we are back before that.
        giveUpLater = giveUp;
      });
    }
  };
}

export const alreadyRunning = (loop: string, freeInMs: number, cause?: unknown) =>
  new BrokerError(
    'ALREADY_RUNNING',
    `A ${loop} run is under way at this moment; its result will be in the log.`,
    {
      cause,
      retryAfterSeconds: Math.max(1, Math.ceil(freeInMs / 1000)),
    },
  );
