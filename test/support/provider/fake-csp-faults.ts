/**
 * What goes wrong with one call to the fake CSP. With `afterEffect` a delete has done its work before it does.
 *
 * - `respond`: this status, these headers, this body (JSON by its content type, unless a header says otherwise)
 * - `html`: a login page with status 200; `missing_results`: JSON of another shape
 * - `cut`: the connection ends in the middle of the body; `stall`: the body stops there, the connection stays
 * - `lost`: the connection ends without an answer; `hang`: no answer, the connection stays
 * - `slow`, `hold`: the right answer, after a time or after a promise
 */
export type FakeFault = SpoilingFault | DelayingFault;

export type SpoilingFault = { afterEffect?: boolean } & (
  | { kind: 'respond'; status: number; headers?: Record<string, string>; body?: string }
  | { kind: 'html' | 'missing_results' | 'cut' | 'stall' | 'lost' | 'hang' }
);

export type DelayingFault = { kind: 'slow'; delayMs: number } | { kind: 'hold'; until: Promise<unknown> };

export interface FaultOptions {
  /** How many calls it strikes, 1 by default; `Infinity` for an outage. */
  times?: number;
  /** Only deletes of this account: a poisoned one among healthy ones. */
  uuid?: string;
}

interface QueuedFault {
  operation: 'list' | 'delete';
  fault: FakeFault;
  uuid: string | undefined;
  times: number;
}

/** A queue of faults: each call uses up the first that fits it. */
export function fakeFaults() {
  let queue: QueuedFault[] = [];
  return {
    add(operation: 'list' | 'delete', fault: FakeFault, { times = 1, uuid }: FaultOptions = {}): void {
      queue.push({ operation, fault, uuid, times });
    },

    take(operation: 'list' | 'delete', uuid: string | undefined): FakeFault | undefined {
      const found = queue.find(
        (one) => one.operation === operation && (one.uuid === undefined || one.uuid === uuid),
      );
      if (found === undefined) return undefined;
      found.times -= 1;
      queue = queue.filter((one) => one.times > 0);
      return found.fault;
    },

    /** Everything works from now on. */
    clear(): void {
      queue = [];
    },
  };
}
