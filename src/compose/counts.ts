import { BrokerError } from '../domain/errors.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { type PoolCounts, readCounts, writeCounts } from '../store/shared/counts.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Core } from './core.ts';

interface CountsOptions {
  work: Pick<Core['work'], 'count'>;
  client: StoreClient;
  metrics: Pick<Metrics, 'setPoolCounts'>;
  /** How many changes of sandboxes this replica has made so far. */
  changes: () => number;
  /** The pool is there: a part of its first sync is nothing to raise an alert for. */
  isStocked: () => boolean;
  /** Looks whether counts are worth an alert. */
  watchPool: (counts: PoolCounts, signal: AbortSignal) => Promise<void>;
  /** There is none free any more, or one again. */
  onTurn: () => void;
  onError: (error: unknown) => void;
}

/** Longer, and an operator is told what is in memory. */
const READ_WITHIN_MS = 2_000;

export type Counts = ReturnType<typeof composeCounts>;

/** The pool's counts: taken here, or learnt from the replica that took them. */
export function composeCounts({ work, client, metrics, changes, onError, ...options }: CountsOptions) {
  let known: PoolCounts | undefined;
  const stopping = new AbortController();
  let running: Promise<boolean> | undefined;
  let next: Promise<boolean> | undefined;
  /** Somebody was told what was done, and it could not be counted: what is known is older than that. */
  let isOwed = false;
  /** The changes of this replica that had been made when the last count began. */
  let countedChanges = 0;

  function learn(counts: PoolCounts | undefined): void {
    if (!counts || (known && counts.asOfMs < known.asOfMs)) return;
    const wasEmpty = known?.counts.available === 0;
    known = counts;
    if (wasEmpty !== (counts.counts.available === 0)) options.onTurn();
    metrics.setPoolCounts(counts);
  }

  /** `consistent`: what was written before it began is in it, at twice the price. */
  async function count(signal: AbortSignal, { consistent }: { consistent: boolean }): Promise<PoolCounts> {
    const before = known;
    const isWhole = options.isStocked();
    countedChanges = changes();
    const taken = await work.count(signal, consistent);
    // Two in one millisecond, or a replica whose clock is ahead: begun later is newer.
    const counts = { ...taken, asOfMs: Math.max(taken.asOfMs, (before?.asOfMs ?? 0) + 1) };
    learn(counts);
    await writeCounts(client, counts, signal);
    if (isWhole) await options.watchPool(counts, signal);
    return counts;
  }

  const once = () =>
    count(stopping.signal, { consistent: true }).then(
      () => {
        isOwed = false;
        return true;
      },
      (error: unknown) => {
        if (!stopping.signal.aborted) onError(error);
        return false;
      },
    );

  /** A count that begins now or later: one under way has looked at a part of the pool already. False: it failed. */
  function recount(): Promise<boolean> {
    if (running !== undefined) {
      next ??= running.then(() => {
        next = undefined;
        return recount();
      });
      return next;
    }
    if (stopping.signal.aborted) return Promise.resolve(false);
    running = once().finally(() => {
      running = undefined;
    });
    return running;
  }

  return {
    /** The last known, from memory. */
    last: () => known,
    /**
     * The last known of all replicas; of this one while the store does not answer. Throws `STORE_UNAVAILABLE` where a
     * run has changed the pool and it could not be counted since.
     */
    async latest(signal: AbortSignal): Promise<PoolCounts | undefined> {
      if (isOwed && !(await recount()))
        throw new BrokerError('STORE_UNAVAILABLE', 'The pool could not be counted. Try again.');
      const within = AbortSignal.any([signal, AbortSignal.timeout(READ_WITHIN_MS)]);
      learn(await readCounts(client, within).catch(() => undefined));
      return known;
    },
    learn,
    count: (signal: AbortSignal) => count(signal, { consistent: false }),
    /** The pool has changed: it is counted again as soon as that is possible. */
    countSoon: () => void recount(),
    /**
     * `doIt`, followed by a count where this replica has changed the pool since the last one, whether it failed or not:
     * whoever is told what was done, and asks for the numbers then, finds it in them. `isAnswered`: somebody waits to be
     * told.
     */
    counted:
      <Args extends unknown[], Result>(
        doIt: (...args: Args) => Promise<Result>,
        isAnswered: (...args: Args) => boolean = () => true,
      ) =>
      async (...args: Args): Promise<Result> => {
        const changesBefore = changes();
        let isTold = false;
        try {
          const result = await doIt(...args);
          isTold = isAnswered(...args);
          return result;
        } finally {
          const isToldOfChange = isTold && changes() !== changesBefore;
          if (changes() !== countedChanges && !(await recount()) && isToldOfChange) isOwed = true;
        }
      },
    async stop() {
      stopping.abort();
      await Promise.all([running, next]);
    },
  };
}
