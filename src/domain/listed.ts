import type { InventoryItem } from './inventory.ts';

/**
 * What a provider lists, each sandbox once. Each is held as text: as objects those of a large inventory take several times
 * the room, and nearly all of them are looked at once, and found to be as they were.
 */
export interface Listed extends Iterable<InventoryItem> {
  readonly size: number;
  /** Entries that were left out, because an earlier one has their id. */
  readonly duplicates: number;
  has(sandboxId: string): boolean;
  get(sandboxId: string): InventoryItem | undefined;
  ids(): Iterable<string>;
}

/** A listing that is being put together, and used up. */
export interface OpenListing extends Listed {
  /** The first entry for each id counts. */
  add(item: InventoryItem): void;
  /** Frees the room of one that nobody will ask about any more. */
  forget(sandboxId: string): void;
}

type Packed = [name: string, externalId: string, metadata: InventoryItem['metadata']];

export function openListing(items: Iterable<InventoryItem> = []): OpenListing {
  const texts = new Map<string, string>();
  let duplicates = 0;

  function unpack(sandboxId: string, text: string): InventoryItem {
    // Its own text, of `add`.
    const [name, externalId, metadata] = JSON.parse(text) as Packed;
    return { sandboxId, name, externalId, metadata };
  }

  const listing: OpenListing = {
    get size() {
      return texts.size;
    },
    get duplicates() {
      return duplicates;
    },
    has: (sandboxId) => texts.has(sandboxId),
    get(sandboxId) {
      const text = texts.get(sandboxId);
      return text === undefined ? undefined : unpack(sandboxId, text);
    },
    ids: () => texts.keys(),
    *[Symbol.iterator]() {
      for (const [sandboxId, text] of texts) yield unpack(sandboxId, text);
    },
    add({ sandboxId, name, externalId, metadata }) {
      if (texts.has(sandboxId)) duplicates++;
      else texts.set(sandboxId, JSON.stringify([name, externalId, metadata] satisfies Packed));
    },
    forget: (sandboxId) => void texts.delete(sandboxId),
  };
  for (const item of items) listing.add(item);
  return listing;
}
