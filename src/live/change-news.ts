import { type ChangeRecord, changeRecord } from '../api/live.ts';
import type { SandboxEvent } from '../domain/event.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { EventHub } from './event-hub.ts';

/** Ids in one event; beyond, it only says that there are more. */
const MAX_CHANGED = 100;
/** What became of sandboxes, in one event: more than anybody reads, and little enough to be kept for who comes back. */
const MAX_TOLD = 50;

/** Tells which sandboxes this replica has changed, and what became of the first of them. */
export function createChangeNews(hub: Pick<EventHub, 'publish' | 'size'>) {
  const changed = new Set<string>();
  let told: ChangeRecord[] = [];
  let isMore = false;

  return {
    /** This replica has changed a sandbox. */
    note({ id, name }: Pick<Sandbox, 'id' | 'name'>, event?: SandboxEvent): void {
      if (changed.size < MAX_CHANGED) changed.add(id);
      else if (!changed.has(id)) isMore = true;
      // Nobody is there to read it, or can.
      if (event !== undefined && hub.size > 0 && told.length < MAX_TOLD) told.push(changeRecord(name, event));
    },
    tick(): void {
      if (changed.size === 0) return;
      hub.publish({ type: 'sandboxes', data: { changed: [...changed], more: isMore, events: told } });
      changed.clear();
      told = [];
      isMore = false;
    },
  };
}
