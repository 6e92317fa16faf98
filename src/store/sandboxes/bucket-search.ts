import type { AvailableSandbox } from '../../domain/sandbox.ts';
import type { Item } from '../dynamo/documents.ts';
import type { Rank } from '../shared/replicas.ts';
import type { SandboxReads } from './reads.ts';

/** A free sandbox, and the bucket that it was read from. */
export interface Candidate {
  sandbox: AvailableSandbox;
  bucket: number;
}

/** A bucket, and the order in which its sandboxes are wanted. */
interface BucketTurn {
  bucket: number;
  order: 'any' | 'by name' | 'any of the last names';
}

/** Which sandboxes are looked for. */
interface Wish {
  isWanted: (sandbox: AvailableSandbox) => boolean;
  namePrefix?: string | undefined;
}

interface BucketReading extends Wish {
  limit: number;
  enough: number;
  /** Where to begin: behind this key. */
  after?: Item | undefined;
}

interface BucketResult {
  found: Candidate[];
  /** How many were read, wanted or not. */
  seen: number;
  /** The last key that was read, when there are more. */
  after: Item | undefined;
}

/** What some buckets have. The candidates are in the order in which they should be tried. */
export interface GroupResult {
  found: Candidate[];
  /** How many were read, wanted or not. */
  seen: number;
  /** Nothing in these buckets is left unread. */
  toTheEnd: boolean;
}

/**
 * The order in which a replica goes through the buckets, in groups that are read one after the other: its own ones,
 * the last of them at the end; then the others' last ones, the others' last but one, and so on, in an order of this
 * replica's own, each time as many as were read before.
 *
 * Replica i of R owns the buckets b with b mod R = i. It goes through its last one by name; who steals from it begins
 * with the last names of that very bucket: what its owner has no caller for. This keeps replicas out of each other's way.
 */
export function bucketGroups({ index, replicas }: Rank, buckets: number): BucketTurn[][] {
  const all = Array.from({ length: buckets }, (_, bucket) => bucket);
  const own = all.filter((bucket) => bucket % replicas === index % buckets);
  const fromOwnersLast = (bucket: number) => Math.floor((buckets - 1 - bucket) / replicas);
  const others = shuffle(all.filter((bucket) => !own.includes(bucket))).sort(
    (one, other) => fromOwnersLast(one) - fromOwnersLast(other),
  );
  const groups: BucketTurn[][] = [
    [
      ...shuffle(own.slice(0, -1)).map((bucket) => ({ bucket, order: 'any' as const })),
      ...own.slice(-1).map((bucket) => ({ bucket, order: 'by name' as const })),
    ],
  ];
  for (let read = own.length; others.length > 0; read *= 2) {
    const group = others.splice(0, read);
    groups.push(group.map((bucket) => ({ bucket, order: 'any of the last names' })));
  }
  return groups;
}

/** Reads a bucket, `limit` to a page, until it has `enough` that are wanted, or to its end. */
async function readBucket(
  reads: SandboxReads,
  { bucket, order }: BucketTurn,
  { limit, enough, isWanted, namePrefix, after }: BucketReading,
): Promise<BucketResult> {
  const found: Candidate[] = [];
  let seen = 0;
  let place = after;
  do {
    const backwards = order === 'any of the last names';
    const page = await reads.byStatus({
      status: 'available',
      namePrefix,
      bucket,
      limit,
      backwards,
      after: place,
    });
    for (const sandbox of page.sandboxes) {
      if (sandbox.status !== 'available') continue;
      seen++;
      if (isWanted(sandbox)) found.push({ sandbox, bucket });
    }
    place = page.after;
  } while (place && found.length < enough);
  return { found: order === 'by name' ? found : shuffle(found), seen, after: place };
}

/**
 * Reads a group's buckets at once, up to `perBucket` from each; where they have it unevenly, then on in those that have
 * more, until there are `wanted` or all is read.
 */
export async function readGroup(
  reads: SandboxReads,
  group: readonly BucketTurn[],
  { wanted, perBucket, ...wish }: Wish & { wanted: number; perBucket: number },
): Promise<GroupResult> {
  const results = await Promise.all(
    group.map((turn) => readBucket(reads, turn, { ...wish, limit: perBucket, enough: 1 })),
  );
  const found = results.flatMap((result) => result.found);
  let seen = results.reduce((sum, result) => sum + result.seen, 0);
  let toTheEnd = true;
  for (const [index, turn] of group.entries()) {
    let after = results[index]?.after;
    if (after && found.length < wanted) {
      const enough = wanted - found.length;
      const more = await readBucket(reads, turn, { ...wish, limit: enough, enough, after });
      found.push(...more.found);
      seen += more.seen;
      after = more.after;
    }
    toTheEnd &&= after === undefined;
  }
  return { found, seen, toTheEnd };
}

/** Reads a group's buckets one after the other until there are `wanted`: no more reading than needed, for no hurry. */
export async function readInTurn(
  reads: SandboxReads,
  group: readonly BucketTurn[],
  { wanted, isWanted }: { wanted: number; isWanted: Wish['isWanted'] },
): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const turn of group) {
    const missing = wanted - found.length;
    if (missing <= 0) break;
    found.push(...(await readBucket(reads, turn, { limit: missing, enough: missing, isWanted })).found);
  }
  return found;
}

/** Fisher–Yates, in place. */
function shuffle<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}
