import type { ModelProcess } from './world.ts';

export const REFUSALS = ['reset', 'throttled', 'server_error', 'conflict'] as const;
export type Refusal = (typeof REFUSALS)[number];

/**
 * What goes wrong with a call to the store or to the provider.
 *
 * - `refused`: it does not arrive, or is turned down; `lost`: it has its effect, and the answer is lost
 * - `late`: it arrives late, perhaps after its caller has given up; `late_answer`: its answer does
 * - `twice`: the network delivers it again, later
 * - `death`: the process dies, before (or, where it `arrives`, after) the call has had its effect, and is started again
 * - `frozen`: the process stands still, and wakes up as if nothing had been; `holdsCalls`: what it has sent waits, too
 */
export type Fault =
  | { kind: 'refused'; how: Refusal; times: number }
  | { kind: 'lost'; times: number }
  | { kind: 'late' | 'late_answer'; ms: number; times: number }
  | { kind: 'twice'; ms: number; times: number }
  | { kind: 'death'; arrives: boolean; times: 1 }
  | { kind: 'frozen'; ms: number; holdsCalls: boolean; times: 1 };

/** The other end of a call; `effects`: the store's records of what was done at the provider. */
export type FarEnd = 'store' | 'effects' | 'provider';

/**
 * A fault, and how many calls (of any process, to any far end or to that one) go well before it. It strikes `times`
 * calls of one process in a row.
 */
export interface PlannedFault {
  of: 'any' | Exclude<FarEnd, 'store'>;
  after: number;
  fault: Fault;
}

/** Deals out the faults of a program, in their order. */
export interface FaultPlan {
  /** What goes wrong with the call that this process makes now. */
  take(process: ModelProcess, farEnd: FarEnd): Fault | undefined;
  /** Until then all goes well, and nothing is counted. */
  begin(): void;
  /** From now on all goes well. */
  end(): void;
  /** Told of each fault that struck. */
  readonly struckAtMs: readonly number[];
}

export function createFaultPlan(planned: readonly PlannedFault[], nowMs: () => number): FaultPlan {
  const queueOf = (of: PlannedFault['of']) =>
    planned.filter((each) => each.of === of).map((each) => ({ ...each }));
  const queues = { any: queueOf('any'), effects: queueOf('effects'), provider: queueOf('provider') };
  let repeated: { process: ModelProcess; of: PlannedFault['of']; fault: Fault; left: number } | undefined;
  let isOn = false;
  const struckAtMs: number[] = [];

  /** The next fault of a queue, if its time has come with this call. */
  function next(of: PlannedFault['of'], process: ModelProcess): Fault | undefined {
    if (repeated && repeated.left > 0 && repeated.process === process && repeated.of === of) {
      repeated.left -= 1;
      return repeated.fault;
    }
    const [first] = queues[of];
    if (!first) return undefined;
    if (first.after > 0) {
      first.after -= 1;
      return undefined;
    }
    queues[of].shift();
    repeated = { process, of, fault: first.fault, left: first.fault.times - 1 };
    return first.fault;
  }

  return {
    take(process, farEnd) {
      if (!isOn) return undefined;
      const fault = (farEnd === 'store' ? undefined : next(farEnd, process)) ?? next('any', process);
      if (fault) struckAtMs.push(nowMs());
      return fault;
    },
    begin() {
      isOn = true;
    },
    end() {
      isOn = false;
    },
    struckAtMs,
  };
}
