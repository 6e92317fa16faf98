import { isFreeing } from '../../domain/line.ts';
import type { Change } from './changes.ts';
import type { SandboxStore } from './sandboxes.ts';

/** What became of a sandbox. */
export type SandboxChange = Pick<Change, 'seen' | 'next' | 'event'>;

/** A holder was heard of: nothing that anybody looks at has changed. */
const isSignOfLife = ({ seen, next, event }: Change): boolean =>
  event === undefined &&
  seen?.status === 'allocated' &&
  next.status === 'allocated' &&
  next.lease !== seen.lease;

/**
 * `store`, telling `onChange` of every sandbox that it has changed, signs of life left out: at once, and of its own changes
 * only. What becomes free may be somebody's at once: the store that frees it tells of that itself.
 */
export function watchSandboxes<Store extends SandboxStore>(
  store: Store,
  onChange: (change: SandboxChange) => void,
): Store {
  return {
    ...store,
    async grant(grant, signal) {
      const outcome = await store.grant(grant, signal);
      if (outcome.type === 'granted') onChange(grant);
      return outcome;
    },
    async grantSeveral(group, signal) {
      const outcome = await store.grantSeveral(group, signal);
      if (outcome.type === 'granted') for (const grant of group.grants) onChange(grant);
      return outcome;
    },
    async write(change, signal) {
      const isWritten = await store.write(change, signal);
      if (isWritten && !isSignOfLife(change) && !isFreeing(change)) onChange(change);
      return isWritten;
    },
    writeAll: (changes, options) =>
      store.writeAll(changes, {
        ...options,
        onSettled(change, isWritten) {
          if (isWritten && !isFreeing(change)) onChange(change);
          options?.onSettled?.(change, isWritten);
        },
      }),
  };
}
