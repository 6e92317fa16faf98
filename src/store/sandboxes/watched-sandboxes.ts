import type { SandboxStore } from './sandboxes.ts';

/** `store`, telling `onChange` the id of every sandbox that it has changed: at once, and of its own changes only. */
export function watchSandboxes(store: SandboxStore, onChange: (sandboxId: string) => void): SandboxStore {
  return {
    get: store.get,
    bucketPace: store.bucketPace,
    async grant(grant, signal) {
      const outcome = await store.grant(grant, signal);
      if (outcome.type === 'granted') onChange(grant.next.id);
      return outcome;
    },
    async write(change, signal) {
      const isWritten = await store.write(change, signal);
      if (isWritten) onChange(change.next.id);
      return isWritten;
    },
    writeAll: (changes, options) =>
      store.writeAll(changes, {
        ...options,
        onSettled(change, isWritten) {
          if (isWritten) onChange(change.next.id);
          options?.onSettled?.(change, isWritten);
        },
      }),
  };
}
