import type { Clock } from '../../clock.ts';
import { BoundedMap } from '../../domain/bounded-map.ts';
import { endCooldown } from '../../domain/cooldown.ts';
import { hasCode } from '../../domain/errors.ts';
import type { CoolingSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';

/** So many are known by heart; the others are free with the next search for what is due. */
const MOST = 10_000;

/** What was cleaned here, and is not free as yet. */
export interface Cooling {
  /** A sandbox has changed here. */
  note(change: { next: Sandbox }): void;
  /** Frees what has cooled down; nothing is read where nothing has. */
  freeCooled(context: CallContext): Promise<void>;
}

/** Whether it may be free, by the record's own word. */
export const hasCooled = (seen: Sandbox, nowMs: number): seen is CoolingSandbox =>
  seen.status === 'cooling' && seen.coolUntilMs <= nowMs;

/**
 * Frees each sandbox as soon as it has cooled down. A replica that dies forgets what it was to free: the search for what is
 * due finds that by the records.
 */
export function createCooling({
  store,
  clock,
}: {
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
}): Cooling {
  const untilMs = new BoundedMap<string, number>(MOST);

  return {
    note({ next }) {
      if (next.status === 'cooling') untilMs.set(next.id, next.coolUntilMs);
    },
    async freeCooled(context) {
      if (untilMs.size === 0) return;
      const nowMs = clock.nowMs();
      for (const [id, coolUntilMs] of [...untilMs]) {
        if (coolUntilMs > nowMs) continue;
        await changeSandbox<Sandbox, Sandbox>(store, id, context, (seen) =>
          hasCooled(seen, nowMs) ? { next: endCooldown(seen, nowMs), action: 'cooled' } : { answer: seen },
        ).catch((error: unknown) => {
          // Its table was made anew.
          if (!hasCode(error, 'SANDBOX_NOT_FOUND')) throw error;
        });
        untilMs.delete(id);
      }
    },
  };
}
