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
    async writeAll(changes, signal) {
      const written = await store.writeAll(changes, signal);
      for (const { next } of written) onChange(next.id);
      return written;
    },
  };
}
