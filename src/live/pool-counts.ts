import type { Clock, NewId } from '../clock.ts';
import { BrokerError } from '../domain/errors.ts';
import { entriesOf, type PoolCounts, toPoolCounts, withDifferences } from '../domain/pool-counts.ts';
import { POOL_STATUSES } from '../domain/sandbox.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { addDifferences, type PublishedCounts, readCounts, writeCounts } from '../store/shared/counts.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { countUnits } from '../usecases/inventory/count-pool.ts';
import type { Survey } from '../usecases/inventory/sync-inventory.ts';
import type { PoolDifferences } from './pool-differences.ts';

export interface PoolCountsDeps {
  /** Counts the pool; `known`: what is known of it. */
  count: (
    signal: AbortSignal,
    how: { consistent: boolean; known?: PoolCounts | undefined },
  ) => Promise<PoolCounts>;
  client: StoreClient;
  clock: Clock;
  newId: NewId;
  metrics: Pick<Metrics, 'setPoolCounts'>;
  /** How often a pool is counted in which nothing happens, milliseconds. */
  intervalMs: number;
  /** How many changes of sandboxes this replica has made so far. */
  changes: () => number;
  /** What they were, where the other replicas do not know of them. */
  own: PoolDifferences;
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
/** So often one count is made anew because somebody was at work meanwhile. */
const COUNTS_AT_MOST = 3;
/** So long after a count that may have missed something comes the next one. */
const COUNT_AGAIN_MS = 30_000;
/** What counting may read on the mean, in read units. */
const UNITS_PER_SECOND = 10;

export type Counts = ReturnType<typeof createPoolCounts>;

/**
 * The pool's counts. A count is the base, and whoever changes the pool adds to it: each replica at once to what it tells
 * itself, and with every beat to what all of them know. What gets lost, by a replica that dies before it has told, is put
 * right by the next count.
 */
export function createPoolCounts({ client, clock, newId, changes, own, onError, ...deps }: PoolCountsDeps) {
  let known: PublishedCounts | undefined;
  let heardAtMs = 0;
  let watched: PublishedCounts | undefined;
  const stopping = new AbortController();
  let running: Promise<boolean> | undefined;
  let next: Promise<boolean> | undefined;
  /** Somebody was told what was done, and nobody could be told what it changed: what is known is older than that. */
  let isOutdated = false;
  /** The first count of all, and this replica changed the pool meanwhile: that may be in it and on top of it. */
  let isRough = false;
  let isBusy = false;
  let sharing: Promise<void> = Promise.resolve();

  const current = (): PoolCounts | undefined =>
    known && { ...withDifferences(known, own.net()), asOfMs: heardAtMs };

  /** `isOwn`: what was changed here before it is forgotten already, and what was changed meanwhile is not. */
  function learn(counts: PublishedCounts | undefined, { isOwn = false } = {}): void {
    if (!counts) return;
    heardAtMs = clock.nowMs();
    const isNewer = !known || counts.asOfMs > known.asOfMs;
    const isSame = counts.asOfMs === known?.asOfMs && counts.additions >= known.additions;
    if (!isNewer && !isSame) return;
    const wasEmpty = current()?.counts.available === 0;
    if (isNewer && !isOwn) own.forgetBefore(counts.asOfMs);
    known = counts;
    const pool = current();
    if (wasEmpty !== (pool?.counts.available === 0)) deps.onTurn();
    if (pool) deps.metrics.setPoolCounts(pool);
    // A part got lost: by a replica that died, say.
    if (!running && POOL_STATUSES.some((status) => counts.counts[status] < 0)) void recount();
  }

  const hear = async (signal: AbortSignal): Promise<PublishedCounts | undefined> => {
    const published = await readCounts(client, signal);
    learn(published);
    return published;
  };

  /**
   * One count, or some, until nothing was missed: what is added to the last counts while it is under way, or changed here,
   * may be in it or not. Where the pool never rests for so long, what is known stays, with all that is added to it.
   * `consistent`: what was written before it began is in it, at twice the price.
   */
  async function count(consistent: boolean, signal: AbortSignal): Promise<void> {
    for (let tries = 1; tries <= COUNTS_AT_MOST; tries++) {
      const before = await hear(signal);
      const mark = own.mark();
      const taken = await deps.count(signal, { consistent, known: before && current() });
      const isCalm = !own.hasSince(mark);
      if (!isCalm && (before || tries < COUNTS_AT_MOST)) continue;
      // Two in one millisecond, or a replica whose clock is ahead: begun later is newer.
      const asOfMs = Math.max(taken.asOfMs, (known?.asOfMs ?? 0) + 1);
      const additions = before?.additions ?? 0;
      const counts = { ...taken, asOfMs, additions, countedAdditions: isCalm ? additions : undefined };
      if (!(await writeCounts(client, counts, signal))) continue;
      isRough = !isCalm;
      own.forgetUntil(mark);
      learn(counts, { isOwn: true });
      return;
    }
    await hear(signal);
  }

  const once = () =>
    count(true, stopping.signal).then(
      () => {
        isOutdated = false;
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

  /** Tells the other replicas what this one has changed: one write, where there is something. False: nothing is counted yet. */
  async function share(): Promise<boolean> {
    for (;;) {
      const mark = own.mark();
      const by = own.net();
      if (entriesOf(by).length === 0) return true;
      const base = known ?? (await hear(stopping.signal));
      if (!base) return false;
      const what = { by, asOfMs: base.asOfMs, nowMs: clock.nowMs() };
      const addition = await addDifferences(client, what, newId, stopping.signal);
      if (!addition) return false;
      if (addition.isAdded) own.forgetUntil(mark);
      // It is another base, by whatever clock: what was done before it is in it.
      else known = undefined;
      learn(addition.counts);
      if (addition.isAdded) return true;
    }
  }

  /** One after the other: what two share at once would be added twice. False: nobody could be told. */
  function tell(): Promise<boolean> {
    const told = sharing
      .then(async () => (!isRough && (await share())) || (await recount()))
      .catch((error: unknown) => {
        if (!stopping.signal.aborted) onError(error);
        return false;
      });
    sharing = told.then(() => undefined);
    return told;
  }

  /** What all replicas know, and each of them once: none is behind another that has said more. */
  async function watch(signal: AbortSignal): Promise<void> {
    if (!known || known === watched || !deps.isStocked()) return;
    watched = known;
    await deps.watchPool({ ...withDifferences(known, {}), asOfMs: known.addedAtMs ?? known.asOfMs }, signal);
  }

  return {
    /** The last known, from memory. */
    last: current,
    /** Another one for each state of the pool, as far as its changes are known here. */
    stateMark: () => `${known?.asOfMs} ${known?.additions} ${changes()}`,
    /**
     * The last known of all replicas; of this one while the store does not answer. Throws `STORE_UNAVAILABLE` where
     * somebody was told of a change, and no number could be had since that has it.
     */
    async latest(signal: AbortSignal): Promise<PoolCounts | undefined> {
      if (isOutdated && !(await recount()))
        throw new BrokerError('STORE_UNAVAILABLE', 'The pool could not be counted. Try again.');
      const within = AbortSignal.any([signal, AbortSignal.timeout(READ_WITHIN_MS)]);
      await hear(within).catch(() => undefined);
      return current();
    },
    /** With every beat: hears what the others have changed, and tells them what this replica has. */
    async beat(signal: AbortSignal): Promise<void> {
      await hear(signal);
      if (entriesOf(own.net()).length > 0) await tell();
      await watch(signal);
    },
    /**
     * Counts where there is a reason: nobody has for an interval, or something has changed since. Not more often than the
     * size of what is to be read allows.
     */
    async countIfDue(signal: AbortSignal): Promise<PoolCounts | undefined> {
      const published = await hear(signal);
      isBusy =
        !published || published.additions !== published.countedAdditions || entriesOf(own.net()).length > 0;
      const ageMs = published ? clock.nowMs() - published.asOfMs : Number.POSITIVE_INFINITY;
      const restMs = published ? (countUnits(published) / UNITS_PER_SECOND) * 1000 : 0;
      if (ageMs >= (isBusy ? restMs : Math.max(restMs, deps.intervalMs))) await count(false, signal);
      return current();
    },
    /** The whole pool is going to be read for another reason. Where nothing happens meanwhile, that is a count, too. */
    survey(): Survey {
      const base = known;
      const mark = own.mark();
      const asOfMs = clock.nowMs();
      return async (counts) => {
        if (own.hasSince(mark) || entriesOf(own.net()).length > 0) return;
        const now = await hear(stopping.signal);
        if (!base || now?.asOfMs !== base.asOfMs || now.additions !== base.additions) return;
        const survey = { ...now, ...toPoolCounts(counts, Math.max(asOfMs, now.asOfMs + 1)) };
        if (await writeCounts(client, survey, stopping.signal)) learn(survey, { isOwn: true });
      };
    },
    /** How long after the last `countIfDue` the next one should come, where that is sooner than by the interval. */
    countAgainMs: () => (isBusy ? COUNT_AGAIN_MS : undefined),
    /** The pool has changed: it is counted again as soon as that is possible. */
    countSoon: () => void recount(),
    /**
     * `doIt`, which changes the pool, with what it has changed in the numbers of all replicas before its end, whether it
     * failed or not: whoever is told what was done, and asks for the numbers then, finds it in them. `isAnswered`: somebody
     * waits to be told.
     */
    added:
      <Args extends unknown[], Result>(
        doIt: (...args: Args) => Promise<Result>,
        isAnswered: (...args: Args) => boolean = () => true,
      ) =>
      async (...args: Args): Promise<Result> => {
        let isTold = false;
        try {
          const result = await doIt(...args);
          isTold = isAnswered(...args);
          return result;
        } finally {
          // By whatever it was changed.
          if (entriesOf(own.net()).length > 0 && !(await tell()) && isTold) isOutdated = true;
        }
      },
    async stop() {
      stopping.abort();
      await Promise.all([running, next, sharing]);
    },
  };
}
