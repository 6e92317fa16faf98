import { BrokerError } from '../domain/errors.ts';
import type { Sandbox, SandboxStatus } from '../domain/sandbox.ts';
import { decodeCursor, encodeCursor, type ListCursor, queryMark } from '../store/dynamo/cursor.ts';
import { bucketOf } from '../store/sandboxes/keys.ts';
import type { Page, SandboxReads } from '../store/sandboxes/reads.ts';
import { passes, type SandboxFilter } from '../store/sandboxes/sandbox-filter.ts';
import type { SandboxStore } from '../store/sandboxes/sandboxes.ts';
import type { CallContext } from './context.ts';

export interface ListInput {
  /** Absent: the whole pool, tombstones left out. */
  status?: SandboxStatus | undefined;
  /** Only sandboxes whose name begins so. */
  prefix?: string | undefined;
  /** Only sandboxes with a lease, running or over, of exactly this holder. */
  holder?: string | undefined;
  /** Only sandboxes with a lease, running or over, whose holder begins so. */
  holderPrefix?: string | undefined;
  /** Only sandboxes with a lease, running or over, whose lab begins so. */
  lab?: string | undefined;
  /** Only the sandbox with this id, those of exactly this holder, and those whose name begins so. */
  find?: string | undefined;
  /** 1 to 100. */
  limit: number;
  /** From the previous page of the same query. */
  cursor?: string | undefined;
}

/** One page. A page may be short and still have a `cursor`; the walk is over when there is none. Throws `INVALID_CURSOR`. */
export type ListSandboxes = (
  input: ListInput,
  context: CallContext,
) => Promise<{ sandboxes: Sandbox[]; cursor?: string | undefined }>;

export interface ListDeps {
  reads: SandboxReads;
  store: Pick<SandboxStore, 'get'>;
  /** The sandbox that a holder has under its default key, the holder itself; one read. */
  heldBy: (holder: string, signal: AbortSignal) => Promise<string | undefined>;
}

/** Records looked at for one page at the most; what is rare in a large pool is found over several short pages. */
const MAX_LOOKED_AT = 5_000;
/** For one holder the whole of a large pool: the answer is meant to be the end of the matter. */
const MAX_LOOKED_AT_FOR_ONE = 50_000;
const MAX_READ_SIZE = 500;

/**
 * Walks the pool bucket by bucket: without a status by id, so that each record comes exactly once however often it
 * changes meanwhile; with a status by name inside each bucket. No index knows holders and labs: they are looked for, by
 * the store. Who asks for one sandbox or one holder gets what is found without a walk at once, and the rest behind it:
 * only a walk finds what a holder leased under keys of its own choice.
 */
export function listSandboxes(deps: ListDeps): ListSandboxes {
  const { reads } = deps;
  return async ({ limit, cursor, ...query }, context) => {
    const { status, prefix } = query;
    const start = cursor === undefined ? undefined : resume(cursor, query, reads.buckets);
    const toCursor = (place: Pick<ListCursor, 'bucket' | 'last'>, told = start?.told): string =>
      encodeCursor({ version: 1, query: markOf(query), ...place, ...(told && { told }) });
    const behind = ({ id, name }: { id: string; name?: string | undefined }) => ({
      id,
      ...(status !== undefined && { name }),
    });

    if (start === undefined) {
      const found = (await withoutWalk(deps, query, context.signal)).slice(0, limit);
      if (found.length > 0) {
        return {
          sandboxes: found,
          cursor: toCursor(
            { bucket: 0 },
            found.map(({ id }) => id),
          ),
        };
      }
    }

    const filter = filterOf(query);
    const mayLookAt = query.holder === undefined ? MAX_LOOKED_AT : MAX_LOOKED_AT_FOR_ONE;
    const sandboxes: Sandbox[] = [];
    let lookedAt = 0;
    for (let bucket = start?.bucket ?? 0; bucket < reads.buckets; bucket++) {
      const resumeAt = bucket === start?.bucket ? start.last : undefined;
      let after = resumeAt && reads.placeOf(resumeAt, status);
      do {
        const lacking = limit - sandboxes.length;
        // Where few are wanted, steps that double get through; a dense pool is not read twice.
        const place = { bucket, after, filter, limit: Math.max(lacking, Math.min(lookedAt, MAX_READ_SIZE)) };
        const page: Page =
          status === undefined
            ? await reads.all(place, context.signal)
            : await reads.byStatus({ status, namePrefix: prefix, ...place }, context.signal);
        lookedAt += page.lookedAt;
        for (const sandbox of page.sandboxes) {
          if (start?.told?.includes(sandbox.id)) continue;
          sandboxes.push(sandbox);
          if (sandboxes.length === limit)
            return { sandboxes, cursor: toCursor({ bucket, last: behind(sandbox) }) };
        }
        after = page.after;
        if (after !== undefined && lookedAt >= mayLookAt) {
          const place = { bucket, last: reads.sandboxAt(after, status) };
          if (isInRange(place, query, reads.buckets)) return { sandboxes, cursor: toCursor(place) };
        }
      } while (after);
    }
    return { sandboxes };
  };
}

type Query = Omit<ListInput, 'limit' | 'cursor'>;

const filterOf = ({ status, prefix, holder, holderPrefix, lab, find }: Query): SandboxFilter => ({
  isAlive: status === undefined,
  // By status the index itself begins with the name.
  namePrefix: status === undefined ? prefix : undefined,
  holder,
  holderPrefix,
  labPrefix: lab,
  holderOrName: find,
});

/** What is found by its key: the sandbox with the id, and the holder's. */
async function withoutWalk(
  { store, heldBy }: ListDeps,
  query: Query,
  signal: AbortSignal,
): Promise<Sandbox[]> {
  const { find, holder = find } = query;
  const byHolder = async () => {
    const id = holder === undefined ? undefined : await heldBy(holder, signal);
    const held = id === undefined ? undefined : await store.get(id, signal);
    // Between the two reads it may have gone to somebody else.
    return held && passes(held, { holder }) ? held : undefined;
  };
  const [byId, held] = await Promise.all([
    find === undefined ? undefined : store.get(find, signal),
    byHolder(),
  ]);
  const isMeant = (sandbox: Sandbox): boolean =>
    (query.status === undefined || sandbox.status === query.status) &&
    passes(sandbox, { ...filterOf({ ...query, find: undefined }), isAlive: false, namePrefix: query.prefix });
  const found = new Map([byId, held].flatMap((each) => (each && isMeant(each) ? [[each.id, each]] : [])));
  return [...found.values()];
}

const markOf = ({ status, prefix, holder, lab, holderPrefix, find }: Query): string =>
  queryMark([status, prefix, holder, lab, holderPrefix, find]);

function resume(text: string, query: Query, buckets: number): ListCursor {
  const cursor = decodeCursor(text);
  if (cursor?.query !== markOf(query) || !isInRange(cursor, query, buckets)) {
    throw new BrokerError(
      'INVALID_CURSOR',
      'The cursor is not one this query gave; start again without it.',
      {
        details: { field: 'cursor' },
      },
    );
  }
  return cursor;
}

/** Whether its place is one that the walk comes by: DynamoDB takes any other for a mistake of ours. */
function isInRange(
  { bucket, last }: Pick<ListCursor, 'bucket' | 'last'>,
  { status, prefix = '' }: Query,
  buckets: number,
): boolean {
  if (!last) return bucket < buckets;
  if (bucketOf(last.id, buckets) !== bucket) return false;
  return status === undefined ? last.name === undefined : last.name?.startsWith(prefix) === true;
}
