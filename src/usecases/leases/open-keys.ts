import { BoundedMap } from '../../domain/bounded-map.ts';

/** Longer than a write that its sender has given up is on its way. */
const REMEMBERED_MS = 60_000;
const MOST_KEYS = 10_000;

/**
 * Keys of attempts of which nobody knows what became: they may come true later. Whoever asks for one of them again reads
 * it first. A bounded number for a bounded time: what is forgotten costs a write that finds the key taken.
 */
export interface OpenKeys {
  add(pk: string): void;
  has(pk: string): boolean;
  /** It is known what the key has. */
  settle(pk: string): void;
}

export function rememberOpenKeys(): OpenKeys {
  const sinceMs = new BoundedMap<string, number>(MOST_KEYS);

  function forgetOld(): void {
    const before = performance.now() - REMEMBERED_MS;
    for (const [pk, atMs] of sinceMs) {
      if (atMs > before) return;
      sinceMs.delete(pk);
    }
  }

  return {
    add(pk) {
      sinceMs.set(pk, performance.now());
      forgetOld();
    },
    has(pk) {
      forgetOld();
      return sinceMs.has(pk);
    },
    settle: (pk) => void sinceMs.delete(pk),
  };
}
