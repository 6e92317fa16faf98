import { untilAborted } from '../../time-limit.ts';
import type { Key, StoreClient } from './client.ts';
import type { Item } from './documents.ts';

interface Wanted {
  key: Key;
  tell: (item: Item | undefined) => void;
  fail: (error: unknown) => void;
}

/** As many as one call may ask for. */
const MOST_KEYS = 100;

const nameOf = ({ pk, sk }: { pk?: unknown; sk?: unknown }): string => JSON.stringify([pk, sk]);

/**
 * `client`, whose reads by key are one call where they come at the same moment. A caller that gives up takes nothing away
 * from the others.
 */
export function gatherReads(client: StoreClient): StoreClient {
  let waiting: Wanted[] = [];

  async function read(wanted: readonly Wanted[]): Promise<void> {
    const keys = [...new Map(wanted.map(({ key }) => [nameOf(key), key])).values()];
    const [only] = keys;
    try {
      const items = keys.length === 1 && only ? [await client.get(only)] : await client.getAll(keys);
      const found = new Map(items.flatMap((item) => (item ? [[nameOf(item), item]] : [])));
      for (const { key, tell } of wanted) tell(found.get(nameOf(key)));
    } catch (error) {
      for (const { fail } of wanted) fail(error);
    }
  }

  function readWaiting(): void {
    const wanted = waiting;
    waiting = [];
    for (let start = 0; start < wanted.length; start += MOST_KEYS) {
      void read(wanted.slice(start, start + MOST_KEYS));
    }
  }

  return {
    ...client,
    get(key, signal = new AbortController().signal) {
      const { promise, resolve, reject } = Promise.withResolvers<Item | undefined>();
      if (waiting.length === 0) setImmediate(readWaiting);
      waiting.push({ key, tell: resolve, fail: reject });
      return untilAborted(promise, signal);
    },
  };
}
