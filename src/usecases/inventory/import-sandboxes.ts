import type { Clock } from '../../clock.ts';
import { eventOf } from '../../domain/event.ts';
import type { InventoryItem } from '../../domain/inventory.ts';
import { create } from '../../domain/transitions.ts';
import type { Change } from '../../store/sandboxes/changes.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import type { CallContext } from '../context.ts';

/** `kept`: there was a record already, a tombstone included; it was left as it is. */
export interface ImportCounts {
  created: number;
  kept: number;
  /** Could not be written, and the first few of them; only there where one failed. */
  failed?: number;
  failed_sandboxes?: string[];
}

export type ImportSandboxes = (
  items: readonly InventoryItem[],
  context: CallContext,
  onProgress?: (done: number) => void,
) => Promise<ImportCounts>;

/** So many that failed are named. */
const NAMED = 10;

/**
 * Puts sandboxes into the pool, as a sync does with what is new to it: each write is conditional on there being no
 * record, so that no lease is touched, whoever is at work meanwhile. One that cannot be written keeps none of the others.
 * What was written stays when it is interrupted; importing the same again writes the rest.
 */
export function importSandboxes(deps: {
  store: Pick<SandboxStore, 'writeAll'>;
  clock: Clock;
}): ImportSandboxes {
  return async (items, context, onProgress) => {
    const { signal } = context;
    const nowMs = deps.clock.nowMs();
    function* changes(): Generator<Change> {
      for (const { sandboxId, ...description } of items) {
        const next = create(sandboxId, description, nowMs);
        yield { seen: undefined, next, event: eventOf(undefined, next, 'imported', context) };
      }
    }
    const failed: string[] = [];
    let settled = 0;
    const onSettled = () => onProgress?.(++settled);
    const onFailure = ({ next }: Change) => void failed.push(next.id);
    const created = await deps.store.writeAll(changes(), { signal, onSettled, onFailure });
    signal.throwIfAborted();
    const kept = items.length - created - failed.length;
    if (failed.length === 0) return { created, kept };
    return { created, kept, failed: failed.length, failed_sandboxes: failed.slice(0, NAMED) };
  };
}
