/** What a client may cost us before it has said anything useful. Sizes in bytes, times in milliseconds. */
export const HTTP_LIMITS = {
  /** No endpoint takes more than `{}`; the rest is room for a client library's habits. Past it: 413. */
  bodyBytes: 16 * 1024,
  /** Request line and headers together. Past it: 431. */
  headersBytes: 8 * 1024,
  /**
   * A URL needs a cursor of up to 2 KiB and three filters of 128 characters, each up to nine in percent signs and
   * hexadecimal. Past it: 400.
   */
  urlLength: 6 * 1024,
  /** Slowloris: the headers must be complete by then, from the connection's start. Past it: 408. */
  headersTimeoutMs: 10_000,
  /** And the body by then. The answer may take longer: an admin's sync does. Past it: 408. */
  requestTimeoutMs: 30_000,
  /** How often the two above are looked at. Node's 30 s would let a slow client stay four times as long. */
  timeoutCheckMs: 1_000,
  /** Longer than the 60 s idle time of common load balancers, so that it is never us who closes first. */
  keepAliveTimeoutMs: 72_000,
  /** After a malformed request the connection is read on for so long: closing at once would reset it under the answer. */
  lingerMs: 1_000,
} as const;
