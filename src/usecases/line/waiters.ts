import type { Place } from '../../domain/line.ts';
import type { Item } from '../../store/dynamo/documents.ts';
import type { LineStore } from '../../store/line/line.ts';
import { pause } from '../../time-limit.ts';

/** Where a place stands. */
export interface Standing {
  /** 1 is the head. */
  position: number;
  /** How many wait, this one included. */
  waiting: number;
}

/** Those who wait for their turn here, and what is known of the line for their sake. */
export interface Waiters {
  /** Resolves when the place may have been served or lost, or with the signal. */
  wait(place: Pick<Place, 'ticket' | 'keyPk'>, signal: AbortSignal): Promise<void>;
  /** Whether somebody waits here under the key. */
  isHere(keyPk: string): boolean;
  /** Something has become of the key's place. */
  call(keyPk: string): void;
  /** Where a place stands, as of a moment ago; undefined: it is not in the line. */
  standing(ticket: string, signal: AbortSignal): Promise<Standing | undefined>;
  /** How long the line is, as far as is known from the last look at all of it. */
  length(): number;
  /** Callers who wait here. */
  readonly size: number;
  /** How many places the line has gone forward while somebody waited here, of late. */
  served(): { places: number; withinMs: number };
}

/** So often the head of the line is looked at while somebody waits here: one read each, of so many places. */
const LOOK_EVERY_MS = 600;
const HEAD = 100;
/** Every so many looks, the whole line is looked at. */
const WHOLE_LINE_EVERY = 10;
const FRESH_MS = 1_000;
const PACE_WINDOW_MS = 900_000;

interface Waiter {
  ticket: string;
  sinceLook: number;
  call: () => void;
}

/** A look at the line: all places up to where it ended. */
interface Look {
  atMs: number;
  tickets: readonly string[];
  isWhole: boolean;
}

/**
 * Nothing is read while nobody waits. Whoever is behind the part of the line that is looked at learns a little later of
 * what becomes of its place. `onError`: a look failed; the next one follows.
 */
export function createWaiters(line: Pick<LineStore, 'page'>, onError: (error: unknown) => void): Waiters {
  const byKey = new Map<string, Set<Waiter>>();
  let size = 0;
  let looks = 0;
  let isLooking = false;
  let last: Look | undefined;
  let lastWhole: Look | undefined;
  /** The line has moved since; on the monotonic clock. */
  let movedAtMs = 0;
  let looking: Promise<Look> | undefined;
  /** When the line was seen to have gone forward, and by how much; on the monotonic clock. */
  let advances: { atMs: number; places: number; withinMs: number }[] = [];

  async function look(isWhole: boolean): Promise<Look> {
    const startedLook = ++looks;
    const atMs = performance.now();
    const tickets: string[] = [];
    let after: Item | undefined;
    do {
      const page = await line.page(isWhole ? { after } : { limit: HEAD });
      tickets.push(...page.places.map(({ ticket }) => ticket));
      after = page.after;
    } while (after && isWhole);
    const found: Look = { atMs, tickets, isWhole: after === undefined };
    noteAdvance(found);
    last = found;
    if (found.isWhole) lastWhole = found;
    callMissing(found, startedLook);
    return found;
  }

  function noteAdvance({ atMs, tickets }: Look): void {
    if (!last || last.atMs >= atMs) return;
    const still = new Set(tickets);
    const head = last.tickets.slice(0, HEAD);
    const withinMs = atMs - last.atMs;
    if (withinMs > 2 * WHOLE_LINE_EVERY * LOOK_EVERY_MS) return;
    const places = head.filter((ticket) => !still.has(ticket)).length;
    advances.push({ atMs, places, withinMs });
    advances = advances.filter((each) => atMs - each.atMs < PACE_WINDOW_MS);
  }

  /** Those who should have been seen, and were not. Who came during the look may have been missed by it. */
  function callMissing({ tickets, isWhole }: Look, startedLook: number): void {
    const seen = new Set(tickets);
    const end = tickets.at(-1) ?? '';
    for (const waiters of byKey.values()) {
      for (const { ticket, sinceLook, call } of waiters) {
        if (sinceLook < startedLook && (isWhole || ticket <= end) && !seen.has(ticket)) call();
      }
    }
  }

  async function lookWhileNeeded(): Promise<void> {
    for (let round = 1; size > 0; round++) {
      await pause(LOOK_EVERY_MS, NEVER);
      if (size === 0) break;
      try {
        await look(round % WHOLE_LINE_EVERY === 0);
      } catch (error) {
        onError(error);
      }
    }
    isLooking = false;
    // Whoever comes later may come after a long time.
    last = undefined;
  }

  /** A look that is new enough and tells of the ticket's place. */
  async function lookFor(ticket: string, signal: AbortSignal): Promise<Look> {
    const isFresh = (found: Look | undefined) =>
      found && found.atMs >= movedAtMs && performance.now() - found.atMs < FRESH_MS;
    const known = [last, lastWhole].find((found) => isFresh(found) && found?.tickets.includes(ticket));
    if (known) return known;
    signal.throwIfAborted();
    looking ??= look(true).finally(() => {
      looking = undefined;
    });
    return await looking;
  }

  return {
    async wait({ ticket, keyPk }, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiter = { ticket, sinceLook: looks, call: () => resolve() };
      const waiters = byKey.get(keyPk) ?? new Set();
      byKey.set(keyPk, waiters.add(waiter));
      size++;
      if (!isLooking) {
        isLooking = true;
        void lookWhileNeeded();
      }
      signal.addEventListener('abort', waiter.call, { once: true });
      if (signal.aborted) resolve();
      try {
        await promise;
      } finally {
        signal.removeEventListener('abort', waiter.call);
        waiters.delete(waiter);
        if (waiters.size === 0) byKey.delete(keyPk);
        size--;
      }
    },

    isHere: (keyPk) => byKey.has(keyPk),

    call(keyPk) {
      // What was seen before says nothing of where the others stand now.
      movedAtMs = performance.now();
      for (const { call } of byKey.get(keyPk) ?? []) call();
    },

    async standing(ticket, signal) {
      const { tickets, isWhole } = await lookFor(ticket, signal);
      const index = tickets.indexOf(ticket);
      if (index < 0) return undefined;
      const length = isWhole ? tickets.length : Math.max(tickets.length, lastWhole?.tickets.length ?? 0);
      return { position: index + 1, waiting: length };
    },

    length: () => lastWhole?.tickets.length ?? 0,

    get size() {
      return size;
    },

    served: () => ({
      places: advances.reduce((sum, { places }) => sum + places, 0),
      withinMs: advances.reduce((sum, { withinMs }) => sum + withinMs, 0),
    }),
  };
}

const NEVER = new AbortController().signal;
