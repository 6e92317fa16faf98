import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { untilAborted } from '../../time-limit.ts';

/** What a sweep proved. */
export interface Sweep {
  /** On the monotonic clock (`performance.now()`). */
  startedAtMs: number;
  /** True when every bucket was read and none had a free sandbox (with the prefix): proof for whoever came before. */
  exhausted: boolean;
}

/** One look at the whole pool. */
export interface Look {
  namePrefix: string | undefined;
  /** How many callers wait for it at this moment. */
  wanted: () => number;
}

/** Who shares which sweep, and when it begins. */
export interface Sweeps {
  /**
   * The sweep that is under way, or waits for its turn, for this prefix; or a new one. Throws the signal's reason as
   * soon as that fires; the sweep goes on for the others.
   */
  sweep(namePrefix?: string, signal?: AbortSignal): Promise<Sweep>;
  /** Prefixes that are swept for, or will be. */
  readonly prefixes: number;
}

const MIN_GAP_MS = 20;
const GAP_PER_REPLICA_MS = 5;
/** Each reads every bucket: more at once would only end later, all of them, and stand in everybody else's way. */
const PREFIXES_AT_ONCE = 3;

interface Gate {
  running: Promise<Sweep> | undefined;
  waiting: number;
  startedAtMs: number;
}

const newGate = (): Gate => ({ running: undefined, waiting: 0, startedAtMs: Number.NEGATIVE_INFINITY });

/**
 * The whole pool is swept by one sweep at a time, and not too often. Sweeps by prefix run a few at a time, first come
 * first served, so that with any number of prefixes each ends soon after it began. `look` does one; true: it found none.
 */
export function createSweeps(look: (look: Look) => Promise<boolean>, replicas: () => number): Sweeps {
  const ofWholePool = newGate();
  /** Those that somebody waits for, and no others: whoever calls may think of any number of prefixes. */
  const byPrefix = new Map<string, Gate>();
  const inTurn = pLimit(PREFIXES_AT_ONCE);

  async function run(gate: Gate, namePrefix: string | undefined): Promise<Sweep> {
    const gapMs = Math.max(MIN_GAP_MS, replicas() * GAP_PER_REPLICA_MS);
    // Even without a gap to keep, callers of the same moment get the chance to share it.
    await delay(Math.max(0, gate.startedAtMs + gapMs - performance.now()));
    const startedAtMs = performance.now();
    gate.startedAtMs = startedAtMs;
    // All who waited for its turn may have given up.
    if (gate.waiting === 0) return { startedAtMs, exhausted: false };
    return { startedAtMs, exhausted: await look({ namePrefix, wanted: () => gate.waiting }) };
  }

  async function sweepWholePool(): Promise<Sweep> {
    try {
      return await run(ofWholePool, undefined);
    } finally {
      ofWholePool.running = undefined;
    }
  }

  async function sweepFor(namePrefix: string, gate: Gate): Promise<Sweep> {
    try {
      return await inTurn(() => run(gate, namePrefix));
    } finally {
      byPrefix.delete(namePrefix);
    }
  }

  function gateFor(namePrefix: string): Gate {
    const gate = byPrefix.get(namePrefix) ?? newGate();
    byPrefix.set(namePrefix, gate);
    return gate;
  }

  return {
    get prefixes() {
      return byPrefix.size;
    },

    async sweep(namePrefix, signal = new AbortController().signal) {
      const gate = namePrefix === undefined ? ofWholePool : gateFor(namePrefix);
      gate.waiting++;
      gate.running ??= namePrefix === undefined ? sweepWholePool() : sweepFor(namePrefix, gate);
      try {
        return await untilAborted(gate.running, signal);
      } finally {
        gate.waiting--;
      }
    },
  };
}
