import type { Key, StoreClient } from './client.ts';
import type { Item } from './documents.ts';

/** What is looked for, as DynamoDB's expressions say it. */
export interface ScanFilter {
  FilterExpression: string;
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues: Record<string, unknown>;
}

/** Calls for one page: what is rare in a large table is found over several short pages. */
const MAX_CALLS = 5;

/**
 * The next items that pass a filter, at most `limit`, by a walk over the whole table; with `after` there may be more. For an
 * operator's look at what no index knows: it costs what the table's size costs, and it is not consistent.
 */
export async function scanPage(
  client: Pick<StoreClient, 'scan'>,
  filter: ScanFilter,
  { limit, after }: { limit: number; after?: Key | undefined },
  signal?: AbortSignal,
): Promise<{ items: Item[]; after?: Key }> {
  const items: Item[] = [];
  let start: Item | undefined = after && { ...after };
  for (let calls = 0; calls < MAX_CALLS; calls++) {
    const page = await client.scan({ ...filter, ...(start && { ExclusiveStartKey: start }) }, signal);
    for (const item of page.items) {
      items.push(item);
      if (items.length === limit) return { items, after: keyOf(item) };
    }
    start = page.lastKey;
    if (start === undefined) return { items };
  }
  return { items, ...(start && { after: keyOf(start) }) };
}

const keyOf = ({ pk, sk }: Item): Key => ({ pk: String(pk), sk: String(sk) });
