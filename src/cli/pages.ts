import { Option } from 'commander';
import { wholeNumber } from './text/numbers.ts';

/** On one page, as many as the broker gives at once. */
const PAGE = 100;

export const limitOption = (preset: number) =>
  new Option('--limit <count>', 'at most so many, over several pages if need be')
    .argParser(wholeNumber(1, 100_000))
    .default(preset);

/** For whoever may think that this was all. */
export const moreNote = (more: boolean): string[] =>
  more ? ['… there may be more: raise --limit, or use export'] : [];

/** Pages through a list until there are `limit`, or no more. */
export async function collect<Item>(
  { limit }: { limit: number },
  read: (limit: number, cursor?: string) => Promise<{ items: Item[]; cursor?: string | undefined }>,
): Promise<{ items: Item[]; more: boolean }> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await read(Math.min(PAGE, limit - items.length), cursor);
    items.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined && items.length < limit);
  return { items, more: cursor !== undefined };
}
