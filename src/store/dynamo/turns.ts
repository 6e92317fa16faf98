import { type EventLoopUtilization, performance as loop } from 'node:perf_hooks';

/** The right of a call to be under way. */
export interface Turn {
  /** A call is sent in this turn. */
  sent(): void;
  /** It was answered, whatever the answer. */
  answered(): void;
  /** Whether a call that was sent after this one was answered already. */
  isOvertaken(): boolean;
  /** Somebody else has the turn: what is left to do has to wait for another one. */
  readonly isPassedOn: boolean;
  end(): void;
}

export interface Turns {
  /** A turn, where there is one. */
  take(): Turn | undefined;
  /** In how many milliseconds there may be one, though nobody gives one back; undefined: not before somebody does. */
  passedOnInMs(): number | undefined;
  /** Fewer of them for a store that is out of reach, and one more again for each call that is carried out. */
  narrow(): void;
  widen(): void;
}

export interface TurnsOptions {
  /** Turns at once at the most. */
  turns: number;
  /** Calls under way at the most, those that have passed their turn on included. */
  calls: number;
}

/** A call that takes so many times as long as others is late, … */
const LATE_FACTOR = 4;
/** … and none is that takes less, milliseconds. */
const LATE_AT_LEAST_MS = 100;
/** The part of a call's time that this process may have been at work, for the call to be late by somebody else's fault. */
const BUSY_PART = 0.7;
/** The part that the latest answer has in what others usually take. */
const GAIN = 1 / 8;

/**
 * Deals out turns to calls. A call whose answer is late passes its turn on to the next one, until `calls` are under way: what
 * was lost on the way would else keep others waiting until its time is over.
 *
 *     sent ──── 4 × as long as others take (100 ms at least) ──── passed on ─ ─ ─ given up, or answered all the same
 *
 * That is not so where it would make things worse: while nothing that was sent later is answered, since the store is slow then
 * for everybody, and more calls make it slower; and while this process is at work for most of the time, since it may be that
 * which is late.
 */
export function createTurns({ turns, calls }: TurnsOptions): Turns {
  const dealt = new Set<{ isPassedOn: boolean; lateInMs(): number; passOnIfLate(): void }>();
  let atOnce = turns;
  /** What a call takes from being sent to being answered, in the mean of late. */
  let usualMs = 0;
  /** When the latest call was sent that was answered. */
  let answeredFromMs = Number.NEGATIVE_INFINITY;

  const lateMs = () => Math.max(LATE_AT_LEAST_MS, LATE_FACTOR * usualMs);

  function deal(): Turn {
    let sentAtMs = performance.now();
    let before: EventLoopUtilization | undefined;
    const isOvertaken = () => sentAtMs < answeredFromMs;
    const turn = {
      isPassedOn: false,
      isOvertaken,
      lateInMs: () => lateMs() - (performance.now() - sentAtMs),
      passOnIfLate() {
        if (turn.lateInMs() > 0 || !isOvertaken()) return;
        turn.isPassedOn ||= loop.eventLoopUtilization(before).utilization < BUSY_PART;
      },
      sent() {
        sentAtMs = performance.now();
        before = loop.eventLoopUtilization();
      },
      answered() {
        const tookMs = performance.now() - sentAtMs;
        usualMs += (tookMs - usualMs) * (usualMs === 0 ? 1 : GAIN);
        answeredFromMs = Math.max(answeredFromMs, sentAtMs);
      },
      end: () => void dealt.delete(turn),
    };
    dealt.add(turn);
    return turn;
  }

  return {
    take() {
      if (dealt.size >= calls) return undefined;
      let held = 0;
      for (const turn of dealt) {
        turn.passOnIfLate();
        if (!turn.isPassedOn) held++;
      }
      return held < atOnce ? deal() : undefined;
    },
    passedOnInMs() {
      if (dealt.size >= calls) return undefined;
      let soonestMs = Number.POSITIVE_INFINITY;
      for (const turn of dealt) {
        const leftMs = turn.lateInMs();
        // One that is late already, and may not be passed on, may be a moment later.
        if (!turn.isPassedOn) soonestMs = Math.min(soonestMs, leftMs > 0 ? leftMs : LATE_AT_LEAST_MS);
      }
      return soonestMs;
    },
    narrow() {
      atOnce = Math.ceil(atOnce / 2);
    },
    widen() {
      atOnce = Math.min(atOnce + 1, turns);
    },
  };
}
