import { AsyncLocalStorage } from 'node:async_hooks';

/** The ids that tie a request's log lines, events and provider calls together. */
export interface Correlation {
  /** Of this request, or `job-<loop>-<epoch>` of a loop's run. */
  requestId: string;
  /** The caller's, when it sent a usable one; it goes on to the provider. */
  correlationId: string;
}

const SAFE_ID = /^[A-Za-z0-9._:@/-]{1,128}$/;
const storage = new AsyncLocalStorage<Correlation>();

/** Runs `work`; all it starts, asynchronous or not, logs under these ids. */
export const runWithCorrelation = <T>(ids: Correlation, work: () => T): T => storage.run(ids, work);

/** The ids of the request or run that the caller belongs to, if any. */
export const currentCorrelation = (): Correlation | undefined => storage.getStore();

/**
 * The caller's correlation id, if it can stand in a log line and a header as it is: 1 to 128 of `[A-Za-z0-9._:@/-]`.
 * Anything else, repeated headers included, is treated as absent.
 */
export const acceptCorrelationId = (header: unknown): string | undefined =>
  typeof header === 'string' && SAFE_ID.test(header) ? header : undefined;
