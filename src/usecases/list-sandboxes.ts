import { BrokerError } from '../domain/errors.ts';
import { isInUse, type ListedStatus, type Sandbox, type SandboxStatus } from '../domain/sandbox.ts';
import { passes, type SandboxFilter } from '../domain/sandbox-filter.ts';
import type { Page, Place, SandboxReads } from '../store/sandboxes/reads.ts';
import type { CallContext } from './context.ts';
import { decodeCursor, encodeCursor, type ListCursor, queryMark, TOLD_AT_MOST } from './cursor.ts';

export interface ListInput {
  /** Absent: the whole pool, tombstones left out. */
  status?: SandboxStatus | undefined;
  /** Only sandboxes whose name begins so. */
  prefix?: string | undefined;
  /** Only sandboxes of exactly this holder: all that it has, and what it gave back until that is clean. */
  holder?: string | undefined;
  /** Only sandboxes with a lease, running or over, whose holder begins so. */
  holderPrefix?: string | undefined;
  /** Only sandboxes with a lease, running or over, whose lab begins so. */
  lab?: string | undefined;
  /** Only the sandbox with this id, those of exactly this holder, and those whose name begins so. */
  find?: string | undefined;
  /** >= 1; of a page in memory. */
  limit: number;
  /** From the previous page of the same query. */
  cursor?: string | undefined;
}

/** One page. A page may be short and still have a `cursor`; the list is over when there is none. Throws `INVALID_CURSOR`. */
export type ListSandboxes = (
  input: ListInput,
  context: CallContext,
) => Promise<{ sandboxes: Sandbox[]; cursor?: string | undefined }>;

export interface ListDeps {
  reads: SandboxReads;
  /** The sandboxes that a holder may have, by id; one read. */
  heldIds: (holder: string, signal: AbortSignal) => Promise<string[]>;
}

/** Records looked at for one page at the most; what is rare in a large pool is found over several short pages. */
const MAX_LOOKED_AT = 5_000;
const MAX_READ_SIZE = 500;
/** Sandboxes to one read by id. */
const MAX_IDS = 100;

/**
 * Who asks for one holder gets what that one has by its keys, in two reads however large the pool is: no walk. So does
 * who asks for one sandbox or its holder, with what has such a name behind it.
 *
 * For the rest it walks the pool bucket by bucket: by id, so that each record comes exactly once however often it changes
 * meanwhile; with a status that an index has by name inside each bucket. No index knows labs and the beginnings of
 * holders: they are looked for, by the store.
 */
export function listSandboxes(deps: ListDeps): ListSandboxes {
  const { reads } = deps;
  return async ({ limit, cursor, ...query }, { signal }) => {
    const { status, prefix } = query;
    const listed = listedStatusOf(query);
    const start = cursor === undefined ? undefined : resume(cursor, query, reads);
    const toCursor = (place: Pick<ListCursor, 'bucket' | 'last'>, told = start?.told): string =>
      encodeCursor({ version: 1, query: markOf(query), ...place, ...(told && { told }) });
    const behind = ({ id, name }: Sandbox) => ({
      bucket: reads.bucketOf(id),
      last: { id, ...(listed !== undefined && { name }) },
    });

    if (isByHolder(query)) {
      const held = await deps.heldIds(query.holder, signal);
      const left = held.filter((id) => start?.last === undefined || id > start.last.id);
      const found = await readMatching(reads, left, matcherOf(query), limit + 1, signal);
      const last = found.length > limit ? found[limit - 1] : undefined;
      return { sandboxes: found.slice(0, limit), ...(last && { cursor: toCursor(behind(last)) }) };
    }
    if (query.find !== undefined && start === undefined) {
      const exact = new Set([query.find, ...(await deps.heldIds(query.find, signal))]);
      const most = Math.min(limit, TOLD_AT_MOST);
      const found = await readMatching(reads, [...exact], exactMatcherOf(query, query.find), most, signal);
      const told = found.map(({ id }) => id);
      if (told.length > 0) return { sandboxes: found, cursor: toCursor({ bucket: 0 }, told) };
    }

    const filter = filterOf(query);
    const sandboxes: Sandbox[] = [];
    let lookedAt = 0;
    for (let bucket = start?.bucket ?? 0; bucket < reads.buckets; bucket++) {
      const resumeAt = bucket === start?.bucket ? start.last : undefined;
      let after = resumeAt && reads.placeOf(resumeAt, listed);
      do {
        const lacking = limit - sandboxes.length;
        // Where few are wanted, steps that double get through; a dense pool is not read twice.
        const place = { bucket, after, filter, limit: Math.max(lacking, Math.min(lookedAt, MAX_READ_SIZE)) };
        const page = await read(status, prefix, place, signal);
        lookedAt += page.lookedAt;
        for (const sandbox of page.sandboxes) {
          if (start?.told?.includes(sandbox.id)) continue;
          sandboxes.push(sandbox);
          if (sandboxes.length === limit) return { sandboxes, cursor: toCursor(behind(sandbox)) };
        }
        after = page.after;
        if (after !== undefined && lookedAt >= MAX_LOOKED_AT) {
          const place = { bucket, last: reads.sandboxAt(after, listed) };
          if (isInRange(place, query, reads)) return { sandboxes, cursor: toCursor(place) };
        }
      } while (after);
      if (lookedAt >= MAX_LOOKED_AT && bucket + 1 < reads.buckets) {
        return { sandboxes, cursor: toCursor({ bucket: bucket + 1 }) };
      }
    }
    return { sandboxes };
  };

  function read(
    status: SandboxStatus | undefined,
    namePrefix: string | undefined,
    place: Place & { filter: SandboxFilter; limit: number },
    signal: AbortSignal,
  ): Promise<Page> {
    if (status === undefined) return reads.all(place, signal);
    return isInUse(status)
      ? reads.inUse({ status, ...place }, signal)
      : reads.byStatus({ status, namePrefix, ...place }, signal);
  }
}

type Query = Omit<ListInput, 'limit' | 'cursor'>;

/** What leads from a holder to a sandbox goes when that is cleaned; tombstones are looked for. */
const isByHolder = (query: Query): query is Query & { holder: string } =>
  query.holder !== undefined && query.status !== 'deleted';

/** The status, if an index has what is in it by name. */
const listedStatusOf = ({ status }: Query): ListedStatus | undefined =>
  status === undefined || isInUse(status) ? undefined : status;

const filterOf = ({ status, prefix, holder, holderPrefix, lab, find }: Query): SandboxFilter => ({
  isAlive: status === undefined,
  // By status the index itself begins with the name.
  namePrefix: listedStatusOf({ status }) === undefined ? prefix : undefined,
  holder,
  holderPrefix,
  labPrefix: lab,
  holderOrName: find,
});

type Matcher = (sandbox: Sandbox) => boolean;

/** Those of the ids that match, in the ids' order, up to `most`. */
async function readMatching(
  reads: SandboxReads,
  ids: readonly string[],
  matches: Matcher,
  most: number,
  signal: AbortSignal,
): Promise<Sandbox[]> {
  const found: Sandbox[] = [];
  for (let start = 0; start < ids.length && found.length < most; start += MAX_IDS) {
    const byId = new Map(
      (await reads.byIds(ids.slice(start, start + MAX_IDS), signal)).map((sandbox) => [sandbox.id, sandbox]),
    );
    found.push(...ids.flatMap((id) => byId.get(id) ?? []).filter(matches));
  }
  return found.slice(0, most);
}

/** As the walk picks. */
function matcherOf({ find, ...query }: Query): Matcher {
  const filter = { ...filterOf(query), namePrefix: query.prefix };
  return (sandbox) =>
    (query.status === undefined || sandbox.status === query.status) &&
    passes(sandbox, filter) &&
    (find === undefined || sandbox.id === find || passes(sandbox, { holderOrName: find }));
}

/** Those that `find` names by their id, tombstones too, or by their holder. */
function exactMatcherOf(query: Query, find: string): Matcher {
  const matches = matcherOf(query);
  return (sandbox) =>
    sandbox.id === find
      ? (query.status === undefined ? matcherOf({ ...query, status: sandbox.status }) : matches)(sandbox)
      : matches(sandbox) && passes(sandbox, { holder: find });
}

const markOf = ({ status, prefix, holder, lab, holderPrefix, find }: Query): string =>
  queryMark([status, prefix, holder, lab, holderPrefix, find, holder && 'by id']);

function resume(text: string, query: Query, reads: ListDeps['reads']): ListCursor {
  const cursor = decodeCursor(text);
  if (cursor?.query !== markOf(query) || !isInRange(cursor, query, reads)) {
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
  query: Query,
  reads: ListDeps['reads'],
): boolean {
  if (!last) return bucket < reads.buckets;
  if (reads.bucketOf(last.id) !== bucket) return false;
  return listedStatusOf(query) === undefined
    ? last.name === undefined
    : last.name?.startsWith(query.prefix ?? '') === true;
}
