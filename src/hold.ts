import type { Clock } from './clock.ts';

/** What is held in the store for a limited time and may be anybody's afterwards: a turn, a claim on a job. */
export interface Hold {
  /** Fires when it is lost: it is somebody else's, or its time is over. */
  readonly lost: AbortSignal;
  /**
   * Throws, and `lost` fires, once its time is over by the wall clock. To be asked right before each step that acts: the
   * renewals stand still while a machine is suspended, like all its timers. Throws `CLOCK_OFF` where nobody can tell.
   */
  assertHeld(): void;
  /** Ends the renewals, and awaits one under way, which must not arrive after what was held is given up. */
  release(): Promise<void>;
}

export interface HoldOptions {
  /** What its time is kept by. */
  clock: Clock;
  /** The end of its time, epoch milliseconds. */
  untilMs: number;
  /** How long a renewal lasts, milliseconds; it is renewed at a third of that. */
  ttlMs: number;
  /** False when it is somebody else's. */
  renew: (signal: AbortSignal) => Promise<boolean>;
  /** Why `lost` fires. */
  reason: Error;
}

/**
 * Holds what was granted until it is released. While the store is out of reach it is held for as long as its time lasts.
 * What took so long to be granted that its time is over is renewed first.
 */
export async function holdOn({ clock, ttlMs, renew, reason, ...granted }: HoldOptions): Promise<Hold> {
  const lost = new AbortController();
  let { untilMs } = granted;

  const isOver = () => clock.nowMs() >= untilMs;
  /** A renewal is not whom to tell that this clock is off. */
  const isKnownToBeOver = () => {
    try {
      return isOver();
    } catch {
      return false;
    }
  };

  async function renewOnce(): Promise<void> {
    try {
      const askedAtMs = clock.nowMs();
      if (await renew(lost.signal)) untilMs = askedAtMs + ttlMs;
      else lost.abort(reason);
    } catch {
      // The store is out of reach, or this clock is off: it lasts for as long as it was granted.
      if (isKnownToBeOver()) lost.abort(reason);
    }
  }

  if (isKnownToBeOver()) await renewOnce();
  let renewal = Promise.resolve();
  const timer = setInterval(() => {
    renewal = renewOnce();
  }, ttlMs / 3);
  return {
    lost: lost.signal,
    assertHeld() {
      if (isOver()) lost.abort(reason);
      lost.signal.throwIfAborted();
    },
    release() {
      clearInterval(timer);
      return renewal;
    },
  };
}
