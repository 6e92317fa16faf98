import { BoundedMap } from '../../domain/bounded-map.ts';
import type { Sandbox } from '../../domain/sandbox.ts';

const MOST_KEYS = 10_000;

/**
 * Keys that have a lease, as far as this replica has seen. Whoever asks for one of them again most likely repeats its call: one
 * read of the key then says what else a cancelled transaction would. A bounded number; what is forgotten, or was served
 * elsewhere, costs that transaction, and what is over by other hands costs the read.
 */
export interface ServedKeys {
  add(pk: string): void;
  has(pk: string): boolean;
  /** A sandbox has changed: its key may have no lease any more. */
  noteChange(change: { seen?: Sandbox | undefined; next: Sandbox }): void;
}

export function rememberServedKeys(): ServedKeys {
  const served = new BoundedMap<string, true>(MOST_KEYS);
  return {
    add: (pk) => void served.set(pk, true),
    has: (pk) => served.has(pk),
    noteChange({ seen, next }) {
      if (seen?.status === 'allocated' && next.status !== 'allocated') {
        served.delete(seen.lease.idempotencyPk);
      }
    },
  };
}
