/**
 * How a check came out. `degraded`: tracks are served, but something an operator should know limits it; `failing`: they
 * are not, and the replica takes itself out of service, unless every other is in the same state.
 */
export const READINESS_STATES = ['ok', 'degraded', 'failing'] as const;
export type ReadinessState = (typeof READINESS_STATES)[number];

/** The worst of the checks. `go`: all is well; `degraded`: serving, but; `no_go`: not serving. */
export const VERDICTS = ['go', 'degraded', 'no_go'] as const;
export type Verdict = (typeof VERDICTS)[number];

export type ReadinessFinding =
  | { state: 'ok' }
  | {
      state: Exclude<ReadinessState, 'ok'>;
      /** Why, in words for everybody; never an inner error's text. */
      detail: string;
      /** Of what fails for every replica at once: it stays in service to say so, where leaving would leave nobody. */
      isShared?: true;
    };
