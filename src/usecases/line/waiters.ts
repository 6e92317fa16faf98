import type { Place } from '../../domain/line.ts';
import { pause } from '../../time-limit.ts';
import type { LineView, Look } from './line-view.ts';

/** Those who wait for their turn here. */
export interface Waiters {
  /** Resolves when the place may have been served or lost, or with the signal. */
  wait(place: Pick<Place, 'ticket' | 'keyPk'>, signal: AbortSignal): Promise<void>;
  /** Whether somebody waits here under the key. */
  isHere(keyPk: string): boolean;
  /** Something has become of the key's place. */
  call(keyPk: string): void;
  /** Calls those whose places a look should have seen, and has not. */
  onLook(look: Look): void;
  /** Callers who wait here. */
  readonly size: number;
}

/** So often the head of the line is looked at while somebody waits here, and all of it. */
const LOOK_EVERY_MS = 600;
const WHOLE_LINE_EVERY_MS = 6_000;

interface Waiter {
  ticket: string;
  sinceLook: number;
  call: () => void;
}

/**
 * Nothing is read while nobody waits. Whoever is behind the part of the line that is looked at learns a little later of
 * what becomes of its place. `onError`: looks fail from now on; the next one follows.
 */
export function createWaiters(
  view: Pick<LineView, 'look' | 'looks' | 'ageMs'>,
  onError: (error: unknown) => void,
): Waiters {
  const byKey = new Map<string, Set<Waiter>>();
  let size = 0;
  let isLooking = false;

  async function lookWhileNeeded(): Promise<void> {
    let isFailing = false;
    while (size > 0) {
      const ageMs = view.ageMs.any;
      await pause(ageMs < LOOK_EVERY_MS ? LOOK_EVERY_MS - ageMs : LOOK_EVERY_MS, NEVER);
      // Others look, too, for reasons of their own.
      if (size === 0 || view.ageMs.any < LOOK_EVERY_MS) continue;
      try {
        await view.look(view.ageMs.whole > WHOLE_LINE_EVERY_MS ? 'whole' : 'head');
        isFailing = false;
      } catch (error) {
        if (!isFailing) onError(error);
        isFailing = true;
      }
    }
    isLooking = false;
  }

  return {
    async wait({ ticket, keyPk }, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiter = { ticket, sinceLook: view.looks, call: () => resolve() };
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
      for (const { call } of byKey.get(keyPk) ?? []) call();
    },

    onLook({ number, places, isWhole }) {
      const seen = new Set(places.map(({ ticket }) => ticket));
      const end = places.at(-1)?.ticket ?? '';
      for (const waiters of byKey.values()) {
        for (const { ticket, sinceLook, call } of waiters) {
          // Who came during the look may have been missed by it.
          if (sinceLook < number && (isWhole || ticket <= end) && !seen.has(ticket)) call();
        }
      }
    },

    get size() {
      return size;
    },
  };
}

const NEVER = new AbortController().signal;
