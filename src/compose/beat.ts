import { isDeepStrictEqual } from 'node:util';
import type { NewId } from '../clock.ts';
import { isClockOff } from '../domain/errors.ts';
import type { Counts } from '../live/pool-counts.ts';
import { createTicker } from '../loops/ticker.ts';
import { runWithCorrelation } from '../telemetry/correlation.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';
import type { Core } from './core.ts';
import type { Jobs } from './jobs.ts';
import type { Resilience } from './resilience.ts';
import type { Safety } from './safety.ts';

/** Something that a replica learns of the others. */
export interface Look {
  name: string;
  look: (signal: AbortSignal) => Promise<unknown>;
}

interface BeatOptions {
  /** What they read by key is read together. */
  parts: {
    core: Pick<Core, 'register' | 'readyList'>;
    counts: Pick<Counts, 'beat'>;
    stocking: Pick<Stocking, 'look'>;
    jobs: Pick<Jobs, 'hear'>;
    safety: Pick<Safety, 'hearOfLimits'>;
    resilience: Pick<Resilience, 'looks'>;
  };
  newId: NewId;
  intervalMs?: number | undefined;
  onError: (chore: string, error: unknown) => void;
}

const BEAT_INTERVAL_MS = 10_000;

export type Beat = ReturnType<typeof composeBeat>;

/** What every replica does for itself all the time, at one moment: it says that it lives, and learns what the others have done. */
export function composeBeat({ parts, newId, onError, intervalMs = BEAT_INTERVAL_MS }: BeatOptions) {
  const { core } = parts;
  async function register(signal: AbortSignal): Promise<void> {
    const before = core.register.rank();
    await core.register.beat(signal);
    // The hints are of the buckets that were this replica's own, and by now somebody else's callers get them.
    if (!isDeepStrictEqual(core.register.rank(), before)) await core.readyList.refresh();
  }
  const count = (signal: AbortSignal) => {
    const requestId = `beat-${newId()}`;
    return runWithCorrelation({ requestId, correlationId: requestId }, () => parts.counts.beat(signal));
  };
  const all: readonly Look[] = [
    { name: 'replica_beat', look: register },
    { name: 'pool_counts', look: count },
    { name: 'stock', look: parts.stocking.look },
    { name: 'job_queue', look: parts.jobs.hear },
    { name: 'governor_refresh', look: parts.safety.hearOfLimits },
    ...parts.resilience.looks,
  ];

  async function tryToLook({ name, look }: Look, signal: AbortSignal): Promise<void> {
    try {
      await look(signal);
    } catch (error) {
      // A clock that is off is said once, and not every few seconds.
      if (!signal.aborted && !isClockOff(error)) onError(name, error);
    }
  }
  const ticker = createTicker(
    intervalMs,
    async (signal) => void (await Promise.all(all.map((each) => tryToLook(each, signal)))),
    (error) => onError('beat', error),
  );

  return {
    /**
     * What has to be known before the first request: the other replicas, and some free sandboxes. Throws where the store
     * cannot be asked.
     */
    async prepare(signal: AbortSignal): Promise<void> {
      const within = () => AbortSignal.any([AbortSignal.timeout(BEAT_INTERVAL_MS), signal]);
      for (const { look } of all) {
        await look(within()).catch((error: unknown) => {
          // It starts all the same, not ready, and beats as soon as its clock is right.
          if (!isClockOff(error)) throw error;
        });
      }
      await core.readyList.refresh();
    },
    start: ticker.start,
    stop: ticker.stop,
  };
}
