import type { Actor } from '../domain/event.ts';

/**
 * Who asks, for the event history and the logs. Made by the HTTP layer or by a loop, passed to every use case.
 * `actor` is `track`, `admin`, or a loop's action such as `background_cleanup`.
 */
export interface CallContext extends Actor {
  /** The caller's own limit; use cases add their own deadline to it. */
  signal: AbortSignal;
  /**
   * Throws, and `signal` fires, once what the work is done under, such as a loop's turn, may be somebody else's: to be asked
   * right before each step that acts. Absent: nothing is held.
   */
  assertHeld?: () => void;
}
