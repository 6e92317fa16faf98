import type { Surveyed } from '../../domain/inventory.ts';
import {
  type InUseStatus,
  isInUse,
  type ListedStatus,
  type PoolStatus,
  type Sandbox,
} from '../../domain/sandbox.ts';
import { passes, type SandboxFilter } from '../../domain/sandbox-filter.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { toSandbox } from './items.ts';
import {
  BY_DUE,
  BY_STATUS,
  bucketOf,
  bucketPk,
  dueUpTo,
  SANDBOX_SK,
  sandboxKey,
  statusPrefix,
  statusSortKey,
} from './keys.ts';
import { filterMembers } from './sandbox-filter.ts';
import { SURVEYED, toSurveyed } from './survey.ts';

/** A place in a bucket: the last key that was read. */
export interface Place {
  bucket: number;
  after?: Item | undefined;
}

export interface Page<Each = Sandbox> {
  sandboxes: Each[];
  /** Records read for it, those that a filter left out included. */
  lookedAt: number;
  /** Absent when the bucket has no more. */
  after?: Item | undefined;
}

interface Reading extends Place {
  limit?: number | undefined;
  /** False: it costs half, and may be a second old. */
  consistent?: boolean | undefined;
  backwards?: boolean | undefined;
  filter?: SandboxFilter | undefined;
}

/** Reads over the buckets, strongly consistent unless they say otherwise. */
export interface SandboxReads {
  readonly buckets: number;
  /** The bucket that a sandbox is in. */
  bucketOf(sandboxId: string): number;
  /** One page of a bucket in one status, by name, from the index; `backwards`: from the last name on. */
  byStatus(
    query: {
      status: ListedStatus;
      namePrefix?: string | undefined;
      limit?: number | undefined;
      backwards?: boolean | undefined;
      filter?: SandboxFilter | undefined;
    } & Place,
    signal?: AbortSignal,
  ): Promise<Page>;
  /** One page of a bucket's whole content, tombstones included, by id. */
  all(
    query: { limit?: number | undefined; filter?: SandboxFilter | undefined } & Place,
    signal?: AbortSignal,
  ): Promise<Page>;
  /** The same, as far as it is held against a listing. Not consistent: it may be a second old. */
  survey(query: { limit?: number | undefined } & Place, signal?: AbortSignal): Promise<Page<Surveyed>>;
  /** One page of a bucket's sandboxes in use, in one status, by id, however often their ends change meanwhile. */
  inUse(
    query: { status: InUseStatus; limit?: number | undefined; filter?: SandboxFilter | undefined } & Place,
    signal?: AbortSignal,
  ): Promise<Page>;
  /** One page of a bucket's sandboxes that are due at `nowMs`, the longest due first. */
  due(query: { nowMs: number; limit?: number | undefined } & Place, signal?: AbortSignal): Promise<Page>;
  /** Those of up to 100 sandboxes that are there, in no order. */
  byIds(ids: readonly string[], signal?: AbortSignal): Promise<Sandbox[]>;
  /** The place right behind a sandbox: in the bucket's index of `status`, or in the bucket itself. */
  placeOf(sandbox: { id: string; name?: string | undefined }, status: ListedStatus | undefined): Item;
  /** The sandbox that a place is right behind: the other way round. Its name is cut as in the index. */
  sandboxAt(place: Item, status: ListedStatus | undefined): { id: string; name?: string | undefined };
  /** How many sandboxes are in each of the statuses, over all buckets. Not `consistent`, it costs half and may be a second old. */
  count<Status extends PoolStatus>(
    statuses: readonly Status[],
    consistent: boolean,
    signal?: AbortSignal,
  ): Promise<Record<Status, number>>;
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
    { bucket, after, limit, consistent, backwards, filter = {} }: Reading,
  ) => {
    const picked = filterMembers(filter);
    return {
      ...(index.name && { IndexName: index.name }),
      KeyConditionExpression: `pk = :pk AND ${index.condition}`,
      ...(picked && { FilterExpression: picked.expression }),
      ...(picked && Object.keys(picked.names).length > 0 && { ExpressionAttributeNames: picked.names }),
      ExpressionAttributeValues: { ':pk': bucketPk(bucket), ...index.values, ...picked?.values },
      ...(limit !== undefined && { Limit: limit }),
      ...(consistent === false && { ConsistentRead: false }),
      ...(backwards && { ScanIndexForward: false }),
      ...(after && { ExclusiveStartKey: after }),
    };
  };

  function readableBy<Each>(read: (item: Item) => Each, items: Item[]): Each[] {
    const sandboxes: Each[] = [];
    for (const item of items) {
      try {
        sandboxes.push(read(item));
      } catch (error) {
        onUnreadable(item.sk, error);
      }
    }
    return sandboxes;
  }
  const readable = (items: Item[]): Sandbox[] => readableBy(toSandbox, items);

  const page = async (input: ReturnType<typeof inBucket>, signal?: AbortSignal): Promise<Page> => {
    const { items, lookedAt, lastKey } = await client.query(input, signal);
    return { sandboxes: readable(items), lookedAt, after: lastKey };
  };

  const withStatus = (status: ListedStatus, namePrefix?: string) => ({
    name: BY_STATUS,
    condition: 'begins_with(status_key, :prefix)',
    values: { ':prefix': statusPrefix(status, namePrefix) },
  });
  const EVERYTHING = { condition: 'begins_with(sk, :prefix)', values: { ':prefix': SANDBOX_SK } };
  const DUE_SOME_TIME = { name: BY_DUE, condition: 'due_key > :first', values: { ':first': '0' } };

  /** Every page of a query, over all buckets. */
  async function* pages(
    toInput: (place: Place) => Parameters<StoreClient['query']>[0],
    signal?: AbortSignal,
  ) {
    for (let bucket = 0; bucket < buckets; bucket++) {
      let after: Item | undefined;
      do {
        const page = await client.query(toInput({ bucket, after }), signal);
        yield page;
        after = page.lastKey;
      } while (after);
    }
  }

  async function countListed(
    status: ListedStatus,
    consistent: boolean,
    signal?: AbortSignal,
  ): Promise<number> {
    let total = 0;
    const toInput = (place: Place) => ({
      ...inBucket(withStatus(status), place),
      Select: 'COUNT' as const,
      ConsistentRead: consistent,
    });
    for await (const { count } of pages(toInput, signal)) total += count;
    return total;
  }

  /** Both at once: they are among each other. */
  async function countInUse(consistent: boolean, signal?: AbortSignal): Promise<Record<InUseStatus, number>> {
    const totals: Record<InUseStatus, number> = { allocated: 0, pending_deletion: 0 };
    const toInput = (place: Place) => ({
      ...inBucket(DUE_SOME_TIME, place),
      ProjectionExpression: '#status',
      ExpressionAttributeNames: { '#status': 'status' },
      ConsistentRead: consistent,
    });
    for await (const { items } of pages(toInput, signal)) {
      for (const { status } of items) if (isInUse(status)) totals[status]++;
    }
    return totals;
  }

  return {
    buckets,
    bucketOf: (sandboxId) => bucketOf(sandboxId, buckets),
    async byStatus({ status, namePrefix = '', ...place }, signal) {
      const found = await page(inBucket(withStatus(status, namePrefix), place), signal);
      // The index may give more: a long prefix is cut there, and the embedded engine's begins_with ignores case.
      return picked(found, { ...place.filter, namePrefix });
    },
    async all(place, signal) {
      return picked(await page(inBucket(EVERYTHING, place), signal), place.filter);
    },
    async survey(place, signal) {
      const input = { ...inBucket(EVERYTHING, { ...place, consistent: false }), ...SURVEYED };
      const { items, lookedAt, lastKey } = await client.query(input, signal);
      return { sandboxes: readableBy(toSurveyed, items), lookedAt, after: lastKey };
    },
    async inUse({ status, bucket, after, limit, filter }, signal) {
      const wanted = { ...filter, status };
      const few = await client.query(
        inBucket(DUE_SOME_TIME, { bucket, limit: FEW_IN_USE, filter: wanted }),
        signal,
      );
      if (few.lastKey) return await this.all({ bucket, after, limit, filter: wanted }, signal);
      const begin = after === undefined ? undefined : String(after.sk).slice(SANDBOX_SK.length);
      const sandboxes = readable(few.items).filter(({ id }) => begin === undefined || isBefore(begin, id));
      sandboxes.sort((one, other) => (isBefore(one.id, other.id) ? -1 : 1));
      return picked({ sandboxes, lookedAt: few.lookedAt }, wanted);
    },
    due: ({ nowMs, ...place }, signal) =>
      page(
        inBucket({ name: BY_DUE, condition: 'due_key < :upTo', values: { ':upTo': dueUpTo(nowMs) } }, place),
        signal,
      ),
    async byIds(ids, signal) {
      if (ids.length === 0) return [];
      const keys = ids.map((id) => sandboxKey(id, buckets));
      return readable(await client.getAll(keys, signal));
    },
    placeOf: ({ id, name = '' }, status) => ({
      ...sandboxKey(id, buckets),
      ...(status !== undefined && { status_key: statusSortKey(status, name) }),
    }),
    sandboxAt: ({ sk, status_key: key }, status) => ({
      id: String(sk).slice(SANDBOX_SK.length),
      ...(status !== undefined && { name: String(key).slice(statusPrefix(status).length) }),
    }),
    async count<Status extends PoolStatus>(
      statuses: readonly Status[],
      consistent: boolean,
      signal?: AbortSignal,
    ) {
      let inUse: Promise<Record<InUseStatus, number>> | undefined;
      const countOne = async (status: PoolStatus): Promise<number> => {
        if (!isInUse(status)) return await countListed(status, consistent, signal);
        inUse ??= countInUse(consistent, signal);
        return (await inUse)[status];
      };
      const entries = await Promise.all(
        statuses.map(async (status) => [status, await countOne(status)] as const),
      );
      return Object.fromEntries(entries) as Record<Status, number>;
    },
  };
}

/** As DynamoDB sorts texts: by their bytes. */
const isBefore = (one: string, other: string): boolean =>
  Buffer.compare(Buffer.from(one), Buffer.from(other)) < 0;

/** What is due in a bucket is read at once where it is no more than this; else the bucket is walked through. */
const FEW_IN_USE = 500;

const picked = (page: Page, filter: SandboxFilter = {}): Page => ({
  ...page,
  sandboxes: page.sandboxes.filter((sandbox) => passes(sandbox, filter)),
});
