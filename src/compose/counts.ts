import type { NewId } from '../clock.ts';
import { BrokerError } from '../domain/errors.ts';
import { entriesOf, type PoolCounts, withDifferences } from '../domain/pool-counts.ts';
import type { PoolDifferences } from '../live/pool-differences.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { addDifferences, type PublishedCounts, readCounts, writeCounts } from '../store/shared/counts.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Core } from './core.ts';

interface CountsOptions {
  work: Pick<Core['work'], 'count'>;
  client: StoreClient;
  metrics: Pick<Metrics, 'setPoolCounts'>;
  /** How many changes of sandboxes this replica has made so far. */
  changes: () => number;
  /** What they were, where no count has them. */
  own: PoolDifferences;
  newId: NewId;
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
/** So often one count is made anew because hands were at work meanwhile. */
const COUNTS_AT_MOST = 3;
/** While a replica changes the pool all the time, so long passes between counts that are made to be exact. */
const ROUGH_FOR_MS = 10_000;

export type Counts = ReturnType<typeof composeCounts>;

/**
 * The pool's counts: taken here, or learnt from the replica that took them; with what this replica has changed since on
 * top of them.
 */
export function composeCounts({
  work,
  client,
  metrics,
  changes,
  newId,
  own,
  onError,
  ...options
}: CountsOptions) {
  let known: PublishedCounts | undefined;
  const stopping = new AbortController();
  let running: Promise<boolean> | undefined;
  let next: Promise<boolean> | undefined;
  /** Somebody was told what was done, and it could not be counted: what is known is older than that. */
  let isOwed = false;
  /** This replica changed the pool while it counted: what it changed may be in the counts and on top of them. */
  let isRough = false;
  let roughUntilMs = 0;
  /** The changes of this replica that had been made when the last count began. */
  let countedChanges = 0;
  let sharing: Promise<void> = Promise.resolve();

  const current = (): PoolCounts | undefined => known && withDifferences(known, own.net());

  /** `isOwn`: what was changed here before it is forgotten already, and what was changed meanwhile is not. */
  function learn(counts: PublishedCounts | undefined, { isOwn = false } = {}): void {
    if (!counts) return;
    const isNewer = !known || counts.asOfMs > known.asOfMs;
    if (!isNewer && (counts.asOfMs !== known?.asOfMs || counts.additions <= known.additions)) return;
    const wasEmpty = current()?.counts.available === 0;
    if (isNewer && !isOwn) own.forgetBefore(counts.asOfMs);
    known = counts;
    if (wasEmpty !== (current()?.counts.available === 0)) options.onTurn();
    metrics.setPoolCounts(counts);
  }

  /**
   * One count, or some, until none was missed: what was added to the last counts while it was under way, an operator's
   * hand, may be missing in it. `consistent`: what was written before it began is in it, at twice the price.
   */
  async function count(signal: AbortSignal, { consistent }: { consistent: boolean }): Promise<PoolCounts> {
    for (let tries = 1; ; tries++) {
      const before = await readCounts(client, signal);
      const isWhole = options.isStocked();
      const mark = own.mark();
      countedChanges = changes();
      const taken = await work.count(signal, consistent);
      // Two in one millisecond, or a replica whose clock is ahead: begun later is newer.
      const asOfMs = Math.max(taken.asOfMs, (known?.asOfMs ?? 0) + 1, (before?.asOfMs ?? 0) + 1);
      const counts = { ...taken, asOfMs, additions: before?.additions ?? 0 };
      if (!(await writeCounts(client, counts, counts.additions, signal))) {
        if (tries < COUNTS_AT_MOST) continue;
        // Hands all the time: what they add is exact, and the next count will do.
        learn(await readCounts(client, signal));
        return counts;
      }
      isRough = own.hasSince(mark);
      own.forgetUntil(mark);
      learn(counts, { isOwn: true });
      if (isWhole) await options.watchPool(counts, signal);
      return counts;
    }
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

  /** Tells the other replicas what this one has changed since the last count: one write, where there is something. */
  async function share(): Promise<void> {
    const mark = own.mark();
    const by = own.net();
    if (entriesOf(by).length === 0) return;
    const published = await addDifferences(client, by, newId, stopping.signal);
    // Of a pool that nobody has counted there is nothing to be older than.
    if (!published) return;
    own.forgetUntil(mark);
    learn(published);
  }

  /** One after the other: what two share at once would be added twice. */
  function shareInTurn(): Promise<boolean> {
    const shared = sharing.then(share).then(
      () => true,
      (error: unknown) => {
        if (!stopping.signal.aborted) onError(error);
        return false;
      },
    );
    sharing = shared.then(() => undefined);
    return shared;
  }

  return {
    /** The last known, from memory. */
    last: current,
    /**
     * The last known of all replicas; of this one while the store does not answer. Throws `STORE_UNAVAILABLE` where a
     * run has changed the pool and it could not be counted since.
     */
    async latest(signal: AbortSignal): Promise<PoolCounts | undefined> {
      if (isOwed && !(await recount()))
        throw new BrokerError('STORE_UNAVAILABLE', 'The pool could not be counted. Try again.');
      if (isRough && performance.now() >= roughUntilMs) {
        roughUntilMs = performance.now() + ROUGH_FOR_MS;
        await recount();
      }
      const within = AbortSignal.any([signal, AbortSignal.timeout(READ_WITHIN_MS)]);
      learn(await readCounts(client, within).catch(() => undefined));
      return current();
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
    /**
     * `doIt`, a hand on single sandboxes, with what it changed in the counts of all replicas before it is told: added to
     * the last count, and not counted.
     */
    added:
      <Args extends unknown[], Result>(doIt: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        const changesBefore = changes();
        const result = await doIt(...args);
        if (changes() !== changesBefore && !(await shareInTurn())) isOwed = true;
        return result;
      },
    async stop() {
      stopping.abort();
      await Promise.all([running, next, sharing]);
    },
  };
}
