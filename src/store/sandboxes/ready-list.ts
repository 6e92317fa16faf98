import type { AvailableSandbox } from '../../domain/sandbox.ts';
import type { Rank } from '../shared/replicas.ts';
import { bucketGroups, type Candidate, readGroup, readInTurn } from './bucket-search.ts';
import type { BucketPace } from './grants.ts';
import { bucketOf } from './keys.ts';
import type { SandboxReads } from './reads.ts';
import { createSweeps, type Look, type Sweep } from './ready-list-sweeps.ts';

/**
 * Free sandboxes to try, per replica. They are hints, never reservations: a stale one costs a wasted transaction, never
 * a wrong answer. A replica reads its own buckets to the end before it steals from the others', and steals no more than
 * its callers need.
 */
export interface ReadyList {
  /**
   * Takes a hint out; the caller must `settle` or `giveBack` it. One from a bucket that takes grants at the moment, if
   * there is one; one from `any`, if that is said or no bucket takes any.
   */
  take(namePrefix?: string, from?: 'well' | 'any'): AvailableSandbox | undefined;
  /** The hint was not used and is as good as before. */
  giveBack(hint: AvailableSandbox): void;
  /**
   * The hint was used. Its sandbox was `won`, or `lost` to somebody else: that generation is over, so an older read must
   * not bring it back. Or it is `open` what became of it.
   */
  settle(hint: AvailableSandbox, outcome: 'won' | 'lost' | 'open'): void;
  /** They were leased without their hints: nobody else is to try them. */
  takenElsewhere(sandboxes: readonly AvailableSandbox[]): void;
  /**
   * Reads the table, strongly consistent, for a caller that found no hint; callers share one sweep. The one that is
   * returned may have started before the call: compare `startedAtMs`. Throws the signal's reason as soon as that fires.
   */
  sweep(namePrefix?: string, signal?: AbortSignal): Promise<Sweep>;
  /** Re-reads the hints, for what other replicas took meanwhile. Call it now and then. */
  refresh(): Promise<void>;
  /** The table was made anew: what was known of the old one's sandboxes says nothing of theirs with the same ids. */
  forget(): void;
  /** Hints at hand. */
  readonly size: number;
  /** The last look at the whole pool found nothing free: likely still so, but no proof. */
  readonly believedEmpty: boolean;
  /** What is kept besides the hints: those in use, spent generations, prefixes swept for. Nothing of it stays for ever. */
  readonly remembered: number;
}

const MIN_TARGET = 64;
const MAX_TARGET = 2_000;
const MAX_HINTS = 2 * MAX_TARGET;
const STOLEN_RESERVE = 8;
/** How long a spent generation is remembered; longer than any read takes. */
const SPENT_MEMORY_MS = 15_000;

/** `onError` is told when a refill in the background fails; the next one tries again. */
export function createReadyList(
  reads: SandboxReads,
  rank: () => Rank,
  pace: BucketPace,
  onError: (error: unknown) => void,
): ReadyList {
  let hints: Candidate[] = [];
  /** Ids of what is out, and their buckets. */
  const inFlight = new Map<string, number>();
  const spent = new Map<string, { generation: number; atMs: number }>();
  let refilling = false;
  /** The most hints that were out at once since the last refresh: what the next burst may want. */
  let peak = 0;
  let believedEmpty = false;
  /** The last reading in the background came to the end of its buckets. */
  let runsShort = false;

  const isWell = ({ bucket }: { bucket: number }): boolean => pace.isWell(bucket);
  const areAllShort = (): boolean =>
    !Array.from({ length: reads.buckets }, (_, bucket) => bucket).some((bucket) => pace.isWell(bucket));

  const target = () => Math.min(MAX_TARGET, Math.max(MIN_TARGET, 2 * peak));

  const usable = (sandbox: AvailableSandbox): boolean =>
    !inFlight.has(sandbox.id) && !((spent.get(sandbox.id)?.generation ?? -1) >= sandbox.generation);

  /** Adds what is not there yet. The end of the list is taken first, and its beginning is dropped first. */
  function offer(found: Candidate[], where: 'first' | 'last'): void {
    const known = idsOf(hints);
    const fresh = found.filter(({ sandbox }) => usable(sandbox) && !known.has(sandbox.id));
    hints = (where === 'first' ? [...hints, ...fresh] : [...fresh, ...hints]).slice(-MAX_HINTS);
    if (hints.length > 0) believedEmpty = false;
  }

  /** One sweep; whether it found nothing at all. */
  async function look({ namePrefix, wanted: waiting }: Look): Promise<boolean> {
    const groups = bucketGroups(rank(), reads.buckets);
    let seen = 0;
    let offered = 0;
    for (const group of groups) {
      const wanted = waiting() - offered;
      if (wanted <= 0) return false;
      // What is out is still free in the table, and is read past.
      const perBucket = Math.ceil((2 * wanted + inFlight.size) / Math.max(1, group.length)) + 8;
      const result = await readGroup(reads, group, { wanted, perBucket, isWanted: usable, namePrefix });
      seen += result.seen;
      // What is stolen beyond the need mostly collides with its owner's callers; a little saves the next ones a sweep.
      const kept = group === groups[0] ? result.found : result.found.slice(0, wanted + STOLEN_RESERVE);
      // What was looked for by name is for those who wait; the list may be full of others.
      offer(kept.reverse(), namePrefix === undefined ? 'last' : 'first');
      offered += kept.length;
      // More callers came while this was read. What is left here is theirs, before anything is stolen for them.
      if (!result.toTheEnd) return false;
    }
    if (seen === 0 && namePrefix === undefined) believedEmpty = true;
    return seen === 0;
  }

  const sweeps = createSweeps(look, () => rank().replicas);

  /**
   * About `wanted` usable ones that are not among `except`, the first to be taken at the end. The others' buckets are
   * read only when the own ones have none: what is kept of theirs is taken by their owners before it is needed here.
   */
  async function collect(wanted: number, except = new Set<string>()): Promise<Candidate[]> {
    let found: Candidate[] = [];
    for (const group of bucketGroups(rank(), reads.buckets)) {
      const isWanted = (sandbox: AvailableSandbox) => usable(sandbox) && !except.has(sandbox.id);
      // What is read from a bucket that takes no grants now is for later; where the others have some, they come first.
      const inOrder = [...group.filter(isWell), ...group.filter((turn) => !isWell(turn))];
      found = await readInTurn(reads, inOrder, { wanted, isWanted });
      if (found.length > 0) break;
    }
    runsShort = found.length < wanted;
    return found.reverse();
  }

  function refillInBackground(): void {
    if (refilling) return;
    refilling = true;
    collect(target() - hints.length, idsOf(hints))
      .then((found) => offer(found, 'last'))
      .catch(onError)
      .finally(() => {
        refilling = false;
      });
  }

  function forgetSpent(): void {
    const before = performance.now() - SPENT_MEMORY_MS;
    for (const [id, { atMs }] of spent) {
      if (atMs > before) return;
      spent.delete(id);
    }
  }

  return {
    get size() {
      return hints.length;
    },

    get believedEmpty() {
      return believedEmpty;
    },

    get remembered() {
      return inFlight.size + spent.size + sweeps.prefixes;
    },

    take(namePrefix, from = 'well') {
      const fits = ({ sandbox }: Candidate) =>
        namePrefix === undefined || sandbox.name.startsWith(namePrefix);
      let index = hints.findLastIndex((hint) => isWell(hint) && fits(hint));
      if (index < 0 && (from === 'any' || areAllShort())) index = hints.findLastIndex(fits);
      const [hint] = index < 0 ? [] : hints.splice(index, 1);
      if (hint) {
        inFlight.set(hint.sandbox.id, hint.bucket);
        peak = Math.max(peak, inFlight.size);
      }
      // An empty list is filled by the caller's own sweep, and where there was no more there is none to refill from.
      if (hints.length > 0 && hints.length < target() / 2 && !runsShort) refillInBackground();
      return hint?.sandbox;
    },

    giveBack(hint) {
      const bucket = inFlight.get(hint.id) ?? bucketOf(hint.id, reads.buckets);
      inFlight.delete(hint.id);
      // No reading has brought it back meanwhile, so there is no need to look for it in the list.
      if (!usable(hint)) return;
      hints.push({ sandbox: hint, bucket });
      believedEmpty = false;
    },

    settle(hint, outcome) {
      const bucket = inFlight.get(hint.id);
      inFlight.delete(hint.id);
      forgetSpent();
      if (outcome === 'open') return;
      spent.delete(hint.id);
      spent.set(hint.id, { generation: hint.generation, atMs: performance.now() });
      // Who took one from there takes more: what was read before that is better read again than tried one by one.
      if (outcome === 'lost') hints = hints.filter((other) => other.bucket !== bucket);
    },

    takenElsewhere(sandboxes) {
      for (const { id, generation } of sandboxes) spent.set(id, { generation, atMs: performance.now() });
      hints = hints.filter(({ sandbox }) => usable(sandbox));
    },

    sweep: sweeps.sweep,

    forget() {
      hints = [];
      spent.clear();
    },

    async refresh() {
      try {
        const found = await collect(target());
        hints = found.filter(({ sandbox }) => usable(sandbox));
        believedEmpty = hints.length === 0;
      } catch (error) {
        onError(error);
      }
      peak = Math.max(inFlight.size, Math.floor(peak / 2));
    },
  };
}

const idsOf = (candidates: readonly Candidate[]): Set<string> =>
  new Set(candidates.map(({ sandbox }) => sandbox.id));
