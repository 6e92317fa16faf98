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
  /** The oldest first. */
  const sinceMs = new Map<string, number>();

  function forgetOld(): void {
    const before = performance.now() - REMEMBERED_MS;
    for (const [pk, atMs] of sinceMs) {
      if (atMs > before && sinceMs.size <= MOST_KEYS) return;
      sinceMs.delete(pk);
    }
  }

  return {
    add(pk) {
      sinceMs.delete(pk);
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
