import type { Clock } from '../clock.ts';
import { type Differences, entriesOf } from '../domain/pool-counts.ts';
import { isPoolStatus, type PoolStatus, type SandboxStatus } from '../domain/sandbox.ts';

/** A moment between two changes of this replica. */
export type Mark = number;

/** What this replica has changed and no count is known to have in it. */
export interface PoolDifferences {
  /** A sandbox has changed its status; `from` is absent for a new one. */
  note(from: SandboxStatus | undefined, to: SandboxStatus): void;
  mark(): Mark;
  /** Whether something has changed since. */
  hasSince(mark: Mark): boolean;
  /** What was changed before the mark is known. */
  forgetUntil(mark: Mark): void;
  /** What was changed before this time, epoch milliseconds, is known. */
  forgetBefore(atMs: number): void;
  /** All that is not known, taken together. */
  net(): Differences;
}

/** Changes so close to each other are kept as one, milliseconds. */
const TOGETHER_MS = 20;

interface Slot {
  mark: Mark;
  beganAtMs: number;
  net: Differences;
}

export function createPoolDifferences(clock: Clock): PoolDifferences {
  let slots: Slot[] = [];
  /** Of the next slot. */
  let next: Mark = 0;
  let isOpen = false;

  function slotOf(nowMs: number): Slot {
    const last = slots.at(-1);
    if (isOpen && last && Math.abs(nowMs - last.beganAtMs) < TOGETHER_MS) return last;
    const slot = { mark: next++, beganAtMs: nowMs, net: {} };
    slots.push(slot);
    isOpen = true;
    return slot;
  }

  return {
    note(from, to) {
      if (from === to) return;
      const { net } = slotOf(clock.nowMs());
      if (from !== undefined && isPoolStatus(from)) net[from] = (net[from] ?? 0) - 1;
      if (isPoolStatus(to)) net[to] = (net[to] ?? 0) + 1;
    },
    mark() {
      isOpen = false;
      return next;
    },
    hasSince: (mark) => next > mark,
    forgetUntil(mark) {
      slots = slots.filter((slot) => slot.mark >= mark);
    },
    forgetBefore(atMs) {
      slots = slots.filter(({ beganAtMs }) => beganAtMs >= atMs);
    },
    net: () => sum(slots.map(({ net }) => net)),
  };
}

function sum(all: readonly Differences[]): Differences {
  const total = new Map<PoolStatus, number>();
  for (const each of all) {
    for (const [status, by] of entriesOf(each)) total.set(status, (total.get(status) ?? 0) + by);
  }
  return Object.fromEntries([...total].filter(([, by]) => by !== 0));
}
