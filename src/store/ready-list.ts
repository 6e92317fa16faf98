import { setTimeout as delay } from 'node:timers/promises';
import type { AvailableSandbox } from '../domain/sandbox.ts';
import type { Item } from './documents.ts';
import type { SandboxReads } from './reads.ts';
import type { Rank } from './replicas.ts';

/** What a sweep proved. */
export interface Sweep {
  /** On the monotonic clock (`performance.now()`). */
  startedAtMs: number;
  /** True when every bucket was read and none had a free sandbox (with the prefix): proof for whoever came before. */
  exhausted: boolean;
}

/**
 * Free sandboxes to try, per replica. They are hints, never reservations: a stale one costs a wasted transaction, never
 * a wrong answer. Replica i of R reads the buckets b with b mod R = i first and steals from the others only what its
 * callers need. It leaves its last bucket for the end and goes through it by name; who steals from it begins with the
 * last names of that very bucket: what its owner has no caller for. This keeps replicas out of each other's way.
 */
export interface ReadyList {
  /** Takes a hint out; the caller must `settle` or `giveBack` it. */
  take(namePrefix?: string): AvailableSandbox | undefined;
  /** The hint was not used and is as good as before. */
  giveBack(hint: AvailableSandbox): void;
  /** The hint was used. `spent`: its generation is known to be over, so an older read must not bring it back. */
  settle(hint: AvailableSandbox, spent: boolean): void;
  /**
   * Reads the table, strongly consistent, for a caller that found no hint; callers share one sweep. The one that is
   * returned may have started before the call: compare `startedAtMs`.
   */
  sweep(namePrefix?: string): Promise<Sweep>;
  /** Re-reads the hints, for what other replicas took meanwhile. Call it now and then. */
  refresh(): Promise<void>;
  /** Hints at hand. */
  readonly size: number;
  /** The last look at the whole pool found nothing free: likely still so, but no proof. */
  readonly believedEmpty: boolean;
  /** What is kept besides the hints: those in use, spent generations, names swept for. Nothing of it stays for ever. */
  readonly remembered: number;
}

const MIN_TARGET = 64;
const MAX_TARGET = 2_000;
const MAX_HINTS = 2 * MAX_TARGET;
const STOLEN_RESERVE = 8;
/** How long a spent generation is remembered; longer than any read takes. */
const SPENT_MEMORY_MS = 15_000;
const GATE_MEMORY_MS = 1_000;
const MIN_SWEEP_GAP_MS = 20;
const SWEEP_GAP_PER_REPLICA_MS = 5;

interface SweepGate {
  running: Promise<Sweep> | undefined;
  waiting: number;
  startedAtMs: number;
}

/** A bucket, and the order in which its sandboxes are wanted. */
interface BucketTurn {
  bucket: number;
  order: 'any' | 'by name' | 'any of the last names';
}

interface BucketReading {
  limit: number;
  enough: number;
  namePrefix?: string | undefined;
  /** Ids that are not looked for. */
  except?: Set<string> | undefined;
  /** Where to begin: behind this key. */
  after?: Item | undefined;
}

interface BucketResult {
  found: AvailableSandbox[];
  /** How many were read, usable or not. */
  seen: number;
  /** The last key that was read, when there are more. */
  after: Item | undefined;
}

/** `onError` is told when a refill in the background fails; the next one tries again. */
export function createReadyList(
  reads: SandboxReads,
  rank: () => Rank,
  onError: (error: unknown) => void,
): ReadyList {
  let hints: AvailableSandbox[] = [];
  const inFlight = new Set<string>();
  const spent = new Map<string, { generation: number; atMs: number }>();
  const gates = new Map<string, SweepGate>();
  let refilling = false;
  /** The most hints that were out at once since the last refresh: what the next burst may want. */
  let peak = 0;
  let believedEmpty = false;
  /** The last reading in the background came to the end of its buckets. */
  let runsShort = false;

  const target = () => Math.min(MAX_TARGET, Math.max(MIN_TARGET, 2 * peak));

  const usable = (sandbox: AvailableSandbox): boolean =>
    !inFlight.has(sandbox.id) && !((spent.get(sandbox.id)?.generation ?? -1) >= sandbox.generation);

  /** Adds what is not there yet. The end of the list is taken first, and its beginning is dropped first. */
  function offer(found: AvailableSandbox[], where: 'first' | 'last'): void {
    const known = new Set(hints.map((hint) => hint.id));
    const fresh = found.filter((sandbox) => usable(sandbox) && !known.has(sandbox.id));
    hints = (where === 'first' ? [...hints, ...fresh] : [...fresh, ...hints]).slice(-MAX_HINTS);
    if (hints.length > 0) believedEmpty = false;
  }

  /**
   * Own buckets first, the last of them at the end; then the others' last ones, the others' last but one, and so on, in
   * an order of this replica's own, each time as many as were read before.
   */
  function bucketGroups(): BucketTurn[][] {
    const { index, replicas } = rank();
    const all = Array.from({ length: reads.buckets }, (_, bucket) => bucket);
    const own = all.filter((bucket) => bucket % replicas === index % reads.buckets);
    const fromOwnersLast = (bucket: number) => Math.floor((reads.buckets - 1 - bucket) / replicas);
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

  /** Reads a bucket, `limit` to a page, until it has `enough` that can be used, or to its end. */
  async function readBucket(
    { bucket, order }: BucketTurn,
    { limit, enough, namePrefix, except, after }: BucketReading,
  ): Promise<BucketResult> {
    const found: AvailableSandbox[] = [];
    let seen = 0;
    do {
      const backwards = order === 'any of the last names';
      const page = await reads.byStatus({ status: 'available', namePrefix, bucket, limit, backwards, after });
      for (const sandbox of page.sandboxes) {
        if (sandbox.status !== 'available') continue;
        seen++;
        if (usable(sandbox) && !except?.has(sandbox.id)) found.push(sandbox);
      }
      after = page.after;
    } while (after && found.length < enough);
    return { found: order === 'by name' ? found : shuffle(found), seen, after };
  }

  /**
   * Reads some buckets at once, a part of `wanted` from each; where they have it unevenly, then on in those that have
   * more, so that no caller is sent to the others' buckets while these have something.
   */
  async function readBuckets(
    turns: BucketTurn[],
    wanted: number,
    namePrefix?: string,
  ): Promise<{ found: AvailableSandbox[]; seen: number }> {
    // What is out is still free in the table, and is read past.
    const limit = Math.ceil((2 * wanted + inFlight.size) / Math.max(1, turns.length)) + 8;
    const results = await Promise.all(
      turns.map((turn) => readBucket(turn, { limit, enough: 1, namePrefix })),
    );
    const found = results.flatMap((result) => result.found);
    let seen = results.reduce((sum, result) => sum + result.seen, 0);
    for (const [index, turn] of turns.entries()) {
      const after = results[index]?.after;
      if (found.length >= wanted || !after) continue;
      const enough = wanted - found.length;
      const more = await readBucket(turn, { limit: enough, enough, namePrefix, after });
      found.push(...more.found);
      seen += more.seen;
    }
    return { found, seen };
  }

  async function runSweep(gate: SweepGate, namePrefix?: string): Promise<Sweep> {
    const { replicas } = rank();
    const gapMs = Math.max(MIN_SWEEP_GAP_MS, replicas * SWEEP_GAP_PER_REPLICA_MS);
    // Even without a gap to keep, callers of the same moment get the chance to share it.
    await delay(Math.max(0, gate.startedAtMs + gapMs - performance.now()));
    const startedAtMs = performance.now();
    gate.startedAtMs = startedAtMs;
    const groups = bucketGroups();
    let seen = 0;
    let offered = 0;
    for (const group of groups) {
      const wanted = gate.waiting - offered;
      if (wanted <= 0) return { startedAtMs, exhausted: false };
      const result = await readBuckets(group, wanted, namePrefix);
      seen += result.seen;
      // What is stolen beyond the need mostly collides with its owner's callers; a little saves the next ones a sweep.
      const kept = group === groups[0] ? result.found : result.found.slice(0, wanted + STOLEN_RESERVE);
      // What was looked for by name is for those who wait; the list may be full of others.
      offer(kept.reverse(), namePrefix === undefined ? 'last' : 'first');
      offered += kept.length;
    }
    if (seen === 0 && namePrefix === undefined) believedEmpty = true;
    return { startedAtMs, exhausted: seen === 0 };
  }

  /**
   * About `wanted` usable ones that are not among `except`, the first to be taken at the end. The others' buckets are
   * read only when the own ones have none: what is kept of theirs is taken by their owners before it is needed here.
   */
  async function collect(wanted: number, except?: Set<string>): Promise<AvailableSandbox[]> {
    const found: AvailableSandbox[] = [];
    for (const group of bucketGroups()) {
      for (const turn of group) {
        const missing = wanted - found.length;
        if (missing <= 0) break;
        found.push(...(await readBucket(turn, { limit: missing, enough: missing, except })).found);
      }
      if (found.length > 0) break;
    }
    runsShort = found.length < wanted;
    return found.reverse();
  }

  function refillInBackground(): void {
    if (refilling) return;
    refilling = true;
    collect(target() - hints.length, new Set(hints.map((hint) => hint.id)))
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

  /** Keeps the gap between a prefix's sweeps, and no gate for ever. */
  function forgetGateLater(name: string, gate: SweepGate): void {
    const timer = setTimeout(() => {
      // By now the name may have a gate of its own again, and callers behind it.
      if (gate.waiting === 0 && gates.get(name) === gate) gates.delete(name);
    }, GATE_MEMORY_MS);
    timer.unref();
  }

  return {
    get size() {
      return hints.length;
    },

    get believedEmpty() {
      return believedEmpty;
    },

    get remembered() {
      return inFlight.size + spent.size + gates.size;
    },

    take(namePrefix) {
      const index =
        namePrefix === undefined
          ? hints.length - 1
          : hints.findLastIndex((hint) => hint.name.startsWith(namePrefix));
      const [hint] = index < 0 ? [] : hints.splice(index, 1);
      if (hint) {
        inFlight.add(hint.id);
        peak = Math.max(peak, inFlight.size);
      }
      // An empty list is filled by the caller's own sweep, and where there was no more there is none to refill from.
      if (hints.length > 0 && hints.length < target() / 2 && !runsShort) refillInBackground();
      return hint;
    },

    giveBack(hint) {
      inFlight.delete(hint.id);
      // No reading has brought it back meanwhile, so there is no need to look for it in the list.
      if (!usable(hint)) return;
      hints.push(hint);
      believedEmpty = false;
    },

    settle(hint, isSpent) {
      inFlight.delete(hint.id);
      forgetSpent();
      if (!isSpent) return;
      spent.delete(hint.id);
      spent.set(hint.id, { generation: hint.generation, atMs: performance.now() });
    },

    async sweep(namePrefix) {
      const name = namePrefix ?? '';
      let gate = gates.get(name);
      if (!gate) {
        gate = { running: undefined, waiting: 0, startedAtMs: Number.NEGATIVE_INFINITY };
        gates.set(name, gate);
      }
      gate.waiting++;
      const current = gate;
      current.running ??= runSweep(current, namePrefix).finally(() => {
        current.running = undefined;
      });
      try {
        return await current.running;
      } finally {
        current.waiting--;
        if (current.waiting === 0 && namePrefix !== undefined) forgetGateLater(name, current);
      }
    },

    async refresh() {
      try {
        const found = await collect(target());
        hints = found.filter(usable);
        believedEmpty = hints.length === 0;
      } catch (error) {
        onError(error);
      }
      peak = Math.max(inFlight.size, Math.floor(peak / 2));
    },
  };
}

/** Fisher–Yates, in place. */
function shuffle<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}
