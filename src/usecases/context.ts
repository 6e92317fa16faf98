/** Who asks, for the event history and the logs. Made by the HTTP layer or by a loop, passed to every use case. */
export interface CallContext {
  /** `track`, `admin`, or a loop's action such as `background_cleanup`. */
  actor: string;
  requestId: string;
  correlationId: string;
  /** The caller's own limit; use cases add their own deadline to it. */
  signal: AbortSignal;
}
