import { BrokerError } from '../domain/errors.ts';
import type { Sandbox, SandboxStatus } from '../domain/sandbox.ts';
import { decodeCursor, encodeCursor, type ListCursor, queryMark } from '../store/cursor.ts';
import { bucketOf } from '../store/keys.ts';
import type { Page, SandboxReads } from '../store/reads.ts';
import type { CallContext } from './context.ts';

export interface ListInput {
  /** Absent: the whole pool, tombstones left out. */
  status?: SandboxStatus | undefined;
  /** Only sandboxes whose name begins so. */
  prefix?: string | undefined;
  /** Only sandboxes with a lease, running or over, whose holder begins so. */
  holder?: string | undefined;
  /** Only sandboxes with a lease, running or over, whose lab begins so. */
  lab?: string | undefined;
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

/** Records looked at for one page at the most; what is rare in a large pool is found over several short pages. */
const MAX_LOOKED_AT = 5_000;
const MAX_READ_SIZE = 500;

/**
 * Walks the pool bucket by bucket: without a status by id, so that each record comes exactly once however often it
 * changes meanwhile; with a status by name inside each bucket. No index knows holders and labs: they are looked for.
 */
export function listSandboxes({ reads }: { reads: SandboxReads }): ListSandboxes {
  return async ({ limit, cursor, ...query }, context) => {
    const { status, prefix } = query;
    const isSearch = status === undefined || query.holder !== undefined || query.lab !== undefined;
    const start = cursor === undefined ? undefined : resume(cursor, query, reads.buckets);
    const toCursor = (bucket: number, last?: Sandbox): string =>
      encodeCursor({
        version: 1,
        query: markOf(query),
        bucket,
        ...(last && { last: { id: last.id, ...(status !== undefined && { name: last.name }) } }),
      });
    const wanted = (sandbox: Sandbox): boolean =>
      (status !== undefined || (sandbox.status !== 'deleted' && sandbox.name.startsWith(prefix ?? ''))) &&
      isOfLease(sandbox, query);

    const sandboxes: Sandbox[] = [];
    let lookedAt = 0;
    for (let bucket = start?.bucket ?? 0; bucket < reads.buckets; bucket++) {
      const resumeAt = bucket === start?.bucket ? start.last : undefined;
      let after = resumeAt && reads.placeOf(resumeAt, status);
      do {
        const lacking = limit - sandboxes.length;
        // Where tombstones or other names lie thick, steps that double get through; a dense pool is not read twice.
        const step = isSearch ? Math.max(lacking, Math.min(lookedAt, MAX_READ_SIZE)) : lacking;
        const place = { bucket, after, limit: step };
        const page: Page =
          status === undefined
            ? await reads.all(place, context.signal)
            : await reads.byStatus({ status, namePrefix: prefix, ...place }, context.signal);
        for (const sandbox of page.sandboxes) {
          lookedAt++;
          if (wanted(sandbox)) sandboxes.push(sandbox);
          if (sandboxes.length === limit || lookedAt === MAX_LOOKED_AT) {
            return { sandboxes, cursor: toCursor(bucket, sandbox) };
          }
        }
        after = page.after;
      } while (after);
    }
    return { sandboxes };
  };
}

type Query = Omit<ListInput, 'limit' | 'cursor'>;

function isOfLease(sandbox: Sandbox, { holder, lab }: Query): boolean {
  if (holder === undefined && lab === undefined) return true;
  const lease = 'lease' in sandbox ? sandbox.lease : undefined;
  if (lease === undefined || !lease.holder.startsWith(holder ?? '')) return false;
  return lab === undefined || lease.lab?.startsWith(lab) === true;
}

const markOf = ({ status, prefix, holder, lab }: Query): string => queryMark([status, prefix, holder, lab]);

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
function isInRange({ bucket, last }: ListCursor, { status, prefix = '' }: Query, buckets: number): boolean {
  if (!last) return bucket < buckets;
  if (bucketOf(last.id, buckets) !== bucket) return false;
  return status === undefined ? last.name === undefined : last.name?.startsWith(prefix) === true;
}
