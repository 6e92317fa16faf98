import type { Clock } from '../clock.ts';
import { eventOf } from '../domain/event.ts';
import type { InventoryItem } from '../domain/inventory.ts';
import { create } from '../domain/transitions.ts';
import type { Change, SandboxStore } from '../store/sandboxes.ts';
import type { CallContext } from './context.ts';

/** `kept`: there was a record already, a tombstone included; it was left as it is. */
export interface ImportCounts {
  created: number;
  kept: number;
}

export type ImportSandboxes = (
  items: readonly InventoryItem[],
  context: CallContext,
  onProgress?: (done: number) => void,
) => Promise<ImportCounts>;

/** Changes between two looks at the signal. */
const STEP = 330;

/**
 * Puts sandboxes into the pool, as a sync does with what is new to it: each write is conditional on there being no
 * record, so that no lease is touched, whoever is at work meanwhile. What was written stays when it is interrupted;
 * importing the same again writes the rest.
 */
export function importSandboxes(deps: {
  store: Pick<SandboxStore, 'writeAll'>;
  clock: Clock;
}): ImportSandboxes {
  return async (items, context, onProgress) => {
    let created = 0;
    for (let start = 0; start < items.length; start += STEP) {
      context.signal.throwIfAborted();
      const changes = items.slice(start, start + STEP).map(({ sandboxId, ...description }): Change => {
        const next = create(sandboxId, description, deps.clock.nowMs());
        return { seen: undefined, next, event: eventOf(undefined, next, 'imported', context) };
      });
      created += (await deps.store.writeAll(changes, context.signal)).length;
      onProgress?.(start + changes.length);
    }
    return { created, kept: items.length - created };
  };
}
