import { ask, isExpected, isNothing } from '../../domain/inventory.ts';
import { noneCounted } from '../../domain/pool-counts.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { CallContext } from '../context.ts';
import { everywhere } from '../everywhere.ts';
import { type Listing, type ListingDeps, stillMissing } from './list-inventory.ts';
import type { Survey } from './sync-inventory.ts';

/** What is written, in this order, and what it is counted as. */
export const WRITTEN = {
  create: 'created',
  describe: 'updated',
  restore: 'restored',
  revive: 'revived',
  mark_stale: 'stale',
  note_missing: 'updated',
  see_gone: 'gone',
  delete_again: 'delete_again',
} as const;
export type Written = keyof typeof WRITTEN;

/**
 * What a listing asks of the pool. Of what is to be written it has the ids: as records, those of a large pool would not fit
 * into the memory of one process, and what was read is old by the time it is their turn.
 */
export interface Plan {
  changes: Record<Written, string[]>;
  unchanged: number;
  recent: number;
  still_listed: number;
  /** Records that a listing is expected to have, and how many of them two listings lacked. */
  expected: number;
  missing: number;
}

/** One that the listing lacks and that is expected, or of which its absence decides. */
interface Lacked {
  id: string;
  isExpected: boolean;
  /** Absent: nothing is to be done. */
  type?: Exclude<Written, 'create'>;
}

export interface PlanDeps extends ListingDeps {
  reads: SandboxReads;
  survey?: (() => Survey) | undefined;
}

/**
 * Holds every record against the listing, and against another one where anything is to be concluded from what the first
 * lacks. What is listed and has no record is new. What the listing says of a record that stays as it is is forgotten.
 */
export async function planSync(
  deps: PlanDeps,
  listing: Listing,
  context: CallContext,
  onProgress?: () => void,
): Promise<Plan> {
  const { reads } = deps;
  const { items, startedAtMs } = listing;
  const plan: Plan = {
    changes: {
      create: [],
      describe: [],
      restore: [],
      revive: [],
      mark_stale: [],
      note_missing: [],
      see_gone: [],
      delete_again: [],
    },
    unchanged: 0,
    recent: 0,
    still_listed: 0,
    expected: 0,
    missing: 0,
  };
  const lacked: Lacked[] = [];
  /** Those that are listed, have a record, and are to be changed. */
  const changing = new Set<string>();
  const tell = deps.survey?.();
  const counts = noneCounted();
  // Each decision is held against the record as it is when it is written: what was read may be a second old.
  const records = everywhere(reads.buckets, async (place) => {
    const page = await reads.survey(place, context.signal);
    onProgress?.();
    return page;
  });
  for await (const record of records) {
    const { id } = record;
    const item = items.get(id);
    if (record.status !== 'deleted') counts[record.status]++;
    const asked = ask(record, item, startedAtMs);
    const type = isNothing(asked) ? undefined : asked;
    if (isExpected(record)) plan.expected++;
    if (asked === 'recent') plan.recent++;
    if (asked === 'still_listed') plan.still_listed++;
    if (!item) {
      if (isExpected(record) || type)
        lacked.push({ id, isExpected: isExpected(record), ...(type && { type }) });
      continue;
    }
    if (asked === 'leave') plan.unchanged++;
    if (type) {
      changing.add(id);
      plan.changes[type].push(id);
    } else items.forget(id);
  }
  await tell?.(counts);
  for (const id of items.ids()) if (!changing.has(id)) plan.changes.create.push(id);
  await lookAgain(deps, plan, lacked, context, onProgress);
  return plan;
}

/** A second listing, where anything is to be concluded from what the first lacked: only that of both counts. */
async function lookAgain(
  deps: PlanDeps,
  plan: Plan,
  lacked: Lacked[],
  context: CallContext,
  onProgress?: () => void,
): Promise<void> {
  const isDecided = lacked.some(({ type }) => type !== undefined);
  const stillLacked = isDecided ? await stillMissing(deps, lacked, context.signal, onProgress) : lacked;
  for (const { id, isExpected: isMissing, type } of stillLacked) {
    if (isMissing) plan.missing++;
    if (type) plan.changes[type].push(id);
  }
}
