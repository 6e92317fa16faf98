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
 * callers need, which keeps replicas out of each other's way.
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

interface BucketReading {
  limit: number;
  enough: number;
  namePrefix?: string | undefined;
  /** Ids that are not looked for. */
  except?: Set<string> | undefined;
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
  /** The last reading in the background came to the end of the pool. */
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

  /** Own buckets first, then the others in an order of this replica's own, each time as many as were read before. */
  function bucketGroups(): number[][] {
    const { index, replicas } = rank();
    const all = Array.from({ length: reads.buckets }, (_, bucket) => bucket);
    const own = all.filter((bucket) => bucket % replicas === index % reads.buckets);
    const others = shuffle(all.filter((bucket) => !own.includes(bucket)));
    const groups = [own];
    for (let read = own.length; others.length > 0; read *= 2) groups.push(others.splice(0, read));
    return groups;
  }

  /** Reads a bucket, `limit` to a page, until it has `enough` that can be used, or to its end. */
  async function readBucket(
    bucket: number,
    { limit, enough, namePrefix, except }: BucketReading,
  ): Promise<{ found: AvailableSandbox[]; seen: number }> {
    const found: AvailableSandbox[] = [];
    let seen = 0;
    let after: Item | undefined;
    do {
      const page = await reads.byStatus({ status: 'available', namePrefix, bucket, limit, after });
      for (const sandbox of page.sandboxes) {
        if (sandbox.status !== 'available') continue;
        seen++;
        if (usable(sandbox) && !except?.has(sandbox.id)) found.push(sandbox);
      }
      after = page.after;
    } while (after && found.length < enough);
    return { found: shuffle(found), seen };
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
      const limit = Math.ceil((2 * wanted) / Math.max(1, group.length)) + 8;
      const results = await Promise.all(
        group.map((bucket) => readBucket(bucket, { limit, enough: 1, namePrefix })),
      );
      const found = results.flatMap((result) => result.found);
      seen += results.reduce((sum, result) => sum + result.seen, 0);
      // What is stolen beyond the need would only collide with its owner's callers.
      const kept = group === groups[0] ? found : shuffle(found).slice(0, wanted);
      // What was looked for by name is for those who wait; the list may be full of others.
      offer(kept, namePrefix === undefined ? 'last' : 'first');
      offered += kept.length;
    }
    if (seen === 0 && namePrefix === undefined) believedEmpty = true;
    return { startedAtMs, exhausted: seen === 0 };
  }

  /** About `wanted` usable ones that are not among `except`, the own buckets' at the end, where they are taken first. */
  async function collect(wanted: number, except?: Set<string>): Promise<AvailableSandbox[]> {
    const found: AvailableSandbox[] = [];
    for (const bucket of bucketGroups().flatMap((group) => shuffle(group))) {
      const missing = wanted - found.length;
      if (missing <= 0) break;
      found.push(...(await readBucket(bucket, { limit: missing, enough: missing, except })).found);
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
