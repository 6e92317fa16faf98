import type { Sandbox, SandboxStatus } from '../domain/sandbox.ts';
import type { StoreClient } from './client.ts';
import type { Item } from './documents.ts';
import { toSandbox } from './items.ts';
import { BY_DUE, BY_STATUS, bucketPk, dueUpTo, sandboxKey, statusPrefix, statusSortKey } from './keys.ts';

/** A place in a bucket: the last key that was read. */
export interface Place {
  bucket: number;
  after?: Item | undefined;
}

export interface Page {
  sandboxes: Sandbox[];
  /** Absent when the bucket has no more. */
  after?: Item | undefined;
}

/** Strongly consistent reads over the buckets. */
export interface SandboxReads {
  readonly buckets: number;
  /** One page of a bucket in one status, by name, from the index; `backwards`: from the last name on. */
  byStatus(
    query: {
      status: SandboxStatus;
      namePrefix?: string | undefined;
      limit?: number | undefined;
      backwards?: boolean | undefined;
    } & Place,
    signal?: AbortSignal,
  ): Promise<Page>;
  /** One page of a bucket's whole content, tombstones included, by id. */
  all(query: { limit?: number | undefined } & Place, signal?: AbortSignal): Promise<Page>;
  /** One page of a bucket's sandboxes that are due at `nowMs`, the longest due first. */
  due(query: { nowMs: number } & Place, signal?: AbortSignal): Promise<Page>;
  /** The place right behind a sandbox: in the bucket's index of `status`, or in the bucket itself. */
  placeOf(sandbox: { id: string; name?: string | undefined }, status: SandboxStatus | undefined): Item;
  /** How many sandboxes are in one status, over all buckets. Not `consistent`, it costs half and may be a second old. */
  count(status: SandboxStatus, consistent: boolean, signal?: AbortSignal): Promise<number>;
}

/**
 * Reads of the table that `client` speaks to, laid out with `buckets`. A record that cannot be read is left out and
 * told to `onUnreadable`: one bent record must not stand in the way of the others.
 */
export function createSandboxReads(
  client: StoreClient,
  buckets: number,
  onUnreadable: (sortKey: unknown, error: unknown) => void,
): SandboxReads {
  const inBucket = (
    index: { name?: string; condition: string; values: Item },
    {
      bucket,
      after,
      limit,
      backwards,
    }: Place & { limit?: number | undefined; backwards?: boolean | undefined },
  ) => ({
    ...(index.name && { IndexName: index.name }),
    KeyConditionExpression: `pk = :pk AND ${index.condition}`,
    ExpressionAttributeValues: { ':pk': bucketPk(bucket), ...index.values },
    ...(limit !== undefined && { Limit: limit }),
    ...(backwards && { ScanIndexForward: false }),
    ...(after && { ExclusiveStartKey: after }),
  });

  const page = async (input: ReturnType<typeof inBucket>, signal?: AbortSignal): Promise<Page> => {
    const { items, lastKey } = await client.query(input, signal);
    const sandboxes: Sandbox[] = [];
    for (const item of items) {
      try {
        sandboxes.push(toSandbox(item));
      } catch (error) {
        onUnreadable(item.sk, error);
      }
    }
    return { sandboxes, after: lastKey };
  };

  const withStatus = (status: SandboxStatus, namePrefix?: string) => ({
    name: BY_STATUS,
    condition: 'begins_with(status_key, :prefix)',
    values: { ':prefix': statusPrefix(status, namePrefix) },
  });

  return {
    buckets,
    async byStatus({ status, namePrefix = '', ...place }, signal) {
      const { sandboxes, after } = await page(inBucket(withStatus(status, namePrefix), place), signal);
      // The index may give more: a long prefix is cut there, and the embedded engine's begins_with ignores case.
      return { sandboxes: sandboxes.filter((sandbox) => sandbox.name.startsWith(namePrefix)), after };
    },
    all: (place, signal) =>
      page(inBucket({ condition: 'begins_with(sk, :prefix)', values: { ':prefix': 'S#' } }, place), signal),
    due: ({ nowMs, ...place }, signal) =>
      page(
        inBucket({ name: BY_DUE, condition: 'due_key < :upTo', values: { ':upTo': dueUpTo(nowMs) } }, place),
        signal,
      ),
    placeOf: ({ id, name = '' }, status) => ({
      ...sandboxKey(id, buckets),
      ...(status !== undefined && { status_key: statusSortKey(status, name) }),
    }),
    async count(status, consistent, signal) {
      let total = 0;
      for (let bucket = 0; bucket < buckets; bucket++) {
        let after: Item | undefined;
        do {
          const input = {
            ...inBucket(withStatus(status), { bucket, after }),
            Select: 'COUNT' as const,
            ConsistentRead: consistent,
          };
          const answer = await client.query(input, signal);
          total += answer.count;
          after = answer.lastKey;
        } while (after);
      }
      return total;
    },
  };
}

/** Every record that `read` pages through, over all buckets, one page in memory at a time. */
export async function* everywhere(
  buckets: number,
  read: (place: Place) => Promise<Page>,
): AsyncGenerator<Sandbox, void, void> {
  for (let bucket = 0; bucket < buckets; bucket++) {
    let after: Item | undefined;
    do {
      const page = await read({ bucket, after });
      yield* page.sandboxes;
      after = page.after;
    } while (after);
  }
}
