import type { Clock } from '../../clock.ts';
import type { Actor } from '../../domain/event.ts';
import { isDead, LINE_CLOCK_MARGIN_MS, type Place } from '../../domain/line.ts';
import type { AllocatedSandbox } from '../../domain/sandbox.ts';
import type { LineStore } from '../../store/line/line.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { ReadyList } from '../../store/sandboxes/ready-list.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import type { CallContext } from '../context.ts';
import { everywhere } from '../everywhere.ts';
import type { LineServer, PlaceEnding } from './free-through-line.ts';
import type { LineView } from './line-view.ts';

export interface TendLineDeps {
  line: Pick<LineStore, 'remove'>;
  view: Pick<LineView, 'whole' | 'gone'>;
  store: Pick<SandboxStore, 'get'>;
  reads: Pick<SandboxReads, 'buckets' | 'due'>;
  server: Pick<LineServer, 'offer' | 'passOn'>;
  readyList: Pick<ReadyList, 'take' | 'giveBack' | 'settle' | 'sweep'>;
  /** Whether a replica is there that frees for anybody. */
  hasOlder: () => boolean;
  /** How many replicas have gone so far. */
  departures: () => number;
  /** How long a lease waits for its caller, seconds. */
  claimSeconds: number;
  clock: Clock;
  onEnded: (ending: PlaceEnding, place: Place, nowMs: number) => void;
  onLook: (look: LineLook) => void;
}

/** What the line was like. */
export interface LineLook {
  length: number;
  /** For how long the one that has waited longest has waited, seconds. */
  oldestSeconds: number;
}

/** Looks after a line in which somebody may wait. */
export interface LineKeeper {
  /** Somebody waits, or has a lease to collect. */
  wake(): void;
  /** A lease waits for its caller. */
  toBeCollected(leased: AllocatedSandbox, place: Place): void;
  /** One look; reads nothing where nobody waits. */
  tend(context: CallContext): Promise<void>;
}

/** At the first look and every so many, two minutes, the pool is looked through, too; always where a replica frees beside the line. */
const SWEEP_EVERY = 200;

/**
 * Removes places whose callers call no more, passes on leases that nobody collects, and gives away what is free beside
 * somebody who waits for it: replicas that know of no line make it so, and stores that show a transaction in parts.
 */
export function createLineKeeper(deps: TendLineDeps): LineKeeper {
  const { line, view, server, readyList, clock } = deps;
  let isAwake = true;
  let looks = 0;
  const uncollected = new Map<string, { leased: AllocatedSandbox; place: Place }>();
  let departures = deps.departures();
  /** Whoever goes leaves leases that nobody else remembers; by then all of them are collected, or are to be passed on. */
  let searchAtMs: number | undefined;

  function isSearchDue(): boolean {
    const nowMs = clock.nowMs();
    if (deps.departures() !== departures) {
      departures = deps.departures();
      searchAtMs = nowMs + deps.claimSeconds * 1000 + LINE_CLOCK_MARGIN_MS;
    }
    return searchAtMs !== undefined && searchAtMs < nowMs;
  }

  /** What {@link passOnLate} does for this replica's own, for everybody's. */
  async function passOnForgotten(by: Actor, signal: AbortSignal): Promise<void> {
    const nowMs = clock.nowMs();
    const due = everywhere(deps.reads.buckets, (place) => deps.reads.due({ nowMs, ...place }, signal));
    for await (const seen of due) {
      const collectBy = seen.status === 'allocated' ? seen.lease.collectBy : undefined;
      if (seen.status !== 'allocated' || collectBy === undefined) continue;
      if (isUncollected(collectBy, nowMs)) await server.passOn(seen, by, signal);
    }
    searchAtMs = undefined;
  }

  async function passOnLate(by: Actor, signal: AbortSignal): Promise<void> {
    const nowMs = clock.nowMs();
    for (const [leaseId, { leased, place }] of uncollected) {
      const { collectBy } = leased.lease;
      if (collectBy === undefined || !isUncollected(collectBy, nowMs)) continue;
      const seen = await deps.store.get(leased.id, signal);
      const isStill = seen?.status === 'allocated' && seen.lease.leaseId === leaseId;
      if (isStill && seen.lease.collectBy !== undefined && (await server.passOn(seen, by, signal))) {
        deps.onEnded('uncollected', place, nowMs);
      }
      uncollected.delete(leaseId);
    }
  }

  /** Takes out of the line whose callers call no more; returns the others. */
  async function bury(signal: AbortSignal): Promise<Place[]> {
    const nowMs = clock.nowMs();
    const places = await view.whole();
    const dead = places.filter((place) => isDead(place, nowMs));
    for (const place of await line.remove(dead, signal)) {
      view.gone(place.keyPk);
      deps.onEnded('given_up', place, nowMs);
    }
    const living = places.filter((place) => !isDead(place, nowMs));
    const oldestJoinedAtMs = living.reduce((oldest, each) => Math.min(oldest, each.joinedAtMs), nowMs);
    deps.onLook({ length: living.length, oldestSeconds: (nowMs - oldestJoinedAtMs) / 1000 });
    return living;
  }

  /** Gives away what is known to be free, as far as anybody in the line wants it. */
  async function offerFree(places: readonly Place[], signal: AbortSignal): Promise<void> {
    if (looks++ % SWEEP_EVERY === 0 || deps.hasOlder()) await readyList.sweep(undefined, signal);
    for (const namePrefix of new Set(places.map(({ request }) => request.namePrefix))) {
      while (await offerOne(namePrefix, signal));
    }
  }

  /** Whether there was one, and somebody wanted it. */
  async function offerOne(namePrefix: string | undefined, signal: AbortSignal): Promise<boolean> {
    const hint = readyList.take(namePrefix, 'any');
    if (!hint) return false;
    const isServed = await server.offer(hint, signal).catch((error: unknown) => {
      readyList.settle(hint, 'open');
      throw error;
    });
    if (isServed) readyList.settle(hint, 'won');
    else readyList.giveBack(hint);
    return isServed;
  }

  return {
    wake() {
      isAwake = true;
    },

    toBeCollected(leased, place) {
      isAwake = true;
      uncollected.set(leased.lease.leaseId, { leased, place });
    },

    async tend(context) {
      const { signal } = context;
      if (isSearchDue()) await passOnForgotten(context, signal);
      if (!isAwake) return;
      isAwake = false;
      try {
        await passOnLate(context, signal);
        const living = await bury(signal);
        if (living.length > 0) await offerFree(living, signal);
        else looks = 0;
        if (living.length > 0 || uncollected.size > 0) isAwake = true;
      } catch (error) {
        isAwake = true;
        throw error;
      }
    },
  };
}

/** Nobody has come for a lease until well after its time, by any clock that is not far off. */
export const isUncollected = (collectBy: number, nowMs: number): boolean =>
  collectBy * 1000 + LINE_CLOCK_MARGIN_MS < nowMs;
