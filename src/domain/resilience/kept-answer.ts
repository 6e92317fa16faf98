/** One request that shall be carried out once, however often it is sent. */
export interface KeyedRequest {
  /** Whose key it is: another's key of the same text is another key. */
  principal: string;
  key: string;
  /** Hash of the request's method, path, query and body: with another one, the key was used before for something else. */
  fingerprint: string;
  /** What it is, for an operator who reads the table, such as `POST /v1/admin/sync`. */
  operation: string;
}

/** An answer as it goes over the wire. */
export interface KeptAnswer {
  status: number;
  headers: Record<string, string>;
  /** Absent: it was too large to be kept. */
  body?: string | undefined;
}

/** The right to carry a keyed request out, until it is settled or lapses. */
export interface Undertaking {
  request: KeyedRequest;
  /** Unique to this attempt. */
  attemptId: string;
}

/** What beginning a keyed request came to. */
export type Beginning =
  | { type: 'begun'; undertaking: Undertaking }
  | { type: 'done'; answer: KeptAnswer }
  | { type: 'other_request' }
  | { type: 'under_way'; sinceMs: number };

/** Who carries out which keyed request, and how those ended that succeeded; shared by all replicas. */
export interface KeptAnswers {
  /** Takes the request on for `leaseMs`, unless it is done or somebody else is at it. */
  begin(request: KeyedRequest, leaseMs: number, signal?: AbortSignal): Promise<Beginning>;
  /** Holds it for another `leaseMs`; false when somebody else has taken over. */
  renew(undertaking: Undertaking, leaseMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Keeps the answer for its time, counted from now; false when somebody else has taken over. */
  keep(undertaking: Undertaking, answer: KeptAnswer, signal?: AbortSignal): Promise<boolean>;
  /** Forgets the request: it failed, and may be sent again. */
  forget(undertaking: Undertaking, signal?: AbortSignal): Promise<void>;
  /** What is known of a key: with an answer it is done, without one somebody is at it, or was. */
  find(
    principal: string,
    key: string,
    signal?: AbortSignal,
  ): Promise<{ answer: KeptAnswer | undefined } | undefined>;
}

/**
 * What became of a request with a key. `not_kept`: it failed, and may be sent again. `unstored`: it was carried out, and
 * the store did not take its answer; a repetition within the lease is told to wait, a later one is carried out again.
 */
export const KEYED_OUTCOMES = [
  'executed',
  'replayed',
  'other_request',
  'in_progress',
  'not_kept',
  'unstored',
] as const;
export type KeyedOutcome = (typeof KEYED_OUTCOMES)[number];

/** A key that is remembered, with nothing in it that would let somebody use it. Times are epoch milliseconds. */
export type RememberedKey = {
  /** A hash of who used the key, and of the key. */
  id: string;
  beganAtMs: number;
  /** Until when it is remembered. */
  untilMs: number;
} & (
  | {
      /** An operator's. */
      kind: 'request';
      state: 'under_way' | 'done';
      /** Such as `POST /v1/admin/sync`. */
      operation: string;
      /** Which carries it out, or did. */
      replica: string;
      /** Of the answer that is kept. */
      answerStatus?: number | undefined;
    }
  | {
      /** Of a lease. */
      kind: 'lease';
      state: 'leased' | 'lease_over';
      sandboxId: string;
      leaseId: string;
      /** By the caller; else the holder is the key. */
      isChosen: boolean;
    }
);
