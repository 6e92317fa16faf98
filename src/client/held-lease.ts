import type { Lease, Marked } from '../api/types/leases.ts';
import type { InLine } from '../api/types/line.ts';
import { BrokerError, isOver } from './broker-error.ts';
import type { CallLimits } from './call.ts';
import { type KeepAlive, keepAlive } from './keep-alive.ts';

/** A lease that gives itself back at the end of an `await using` scope. Its fields are those of the last answer. */
export interface HeldLease extends Readonly<Lease>, AsyncDisposable {
  readonly holder: string;
  /** The key had this lease already. */
  readonly replayed: boolean;
  /**
   * The key had this lease, and it is over: given back, or run out. The sandbox is somebody else's by now, or gone; new
   * work needs a new key. Only with an `idempotencyKey`.
   */
  readonly leaseOver: boolean;
  /**
   * Gives the sandbox back. Once it has worked, further calls give the same answer and send nothing. Of a lease that was
   * over from the beginning there is nothing to give back: `LEASE_OVER`, and nothing is sent.
   */
  release(options?: CallLimits): Promise<Marked>;
  /**
   * Moves the end to so long from now, as far as the broker allows: `expires_at` says what came of it. `LEASE_OVER` where it
   * is too late.
   */
  extend(durationSeconds: number, options?: CallLimits): Promise<Lease>;
  /** Gives a sign of life; for a lease with `heartbeatSeconds`. `LEASE_OVER` where it comes too late. */
  heartbeat(options?: CallLimits): Promise<Lease>;
  /**
   * Says that the sandbox is broken: the lease is over, and operators look at it. With `replace` the same key gets another one,
   * which is returned; undefined where none was wanted, or none was free and there is no `wait`; with one,
   * `NO_SANDBOXES_AVAILABLE` when that is over. Called again it never gets a second.
   */
  report(reason: string, options?: ReplaceOptions): Promise<HeldLease | undefined>;
  /**
   * Keeps the lease in the background, until it is given back or its `await using` scope ends: gives signs of life where
   * they were promised, and extends it when half of its time is over, until the broker allows no more. What it returns says
   * when the lease was lost all the same. Called again it returns the same.
   */
  keepAlive(): KeepAlive;
}

/** Several leases of one key, that give themselves back at the end of an `await using` scope. Each is a lease of its own. */
export interface HeldLeases extends AsyncDisposable {
  readonly holder: string;
  /** The key had these leases already. */
  readonly replayed: boolean;
  readonly leases: readonly HeldLease[];
  /** Gives back those that are not over, each as {@link HeldLease.release}. Where one fails, the others are given back all the same. */
  release(options?: CallLimits): Promise<Marked[]>;
}

export interface ReplaceOptions extends CallLimits {
  /** Another sandbox instead, as long and with the same promises, or a place at the head of the line. */
  replace?: boolean | undefined;
  /** With `replace`: how long to wait in line where nothing is free, seconds. */
  wait?: number | undefined;
  /** Told where it stands. What it throws ends the call. */
  onPosition?: ((place: InLine) => void) | undefined;
}

/** What can be done with a lease, as calls. */
export interface LeaseCalls {
  giveBack(limits?: CallLimits): Promise<Marked>;
  extend(durationSeconds: number, limits?: CallLimits): Promise<Lease>;
  heartbeat(limits?: CallLimits): Promise<Lease>;
  report(reason: string, options?: ReplaceOptions): Promise<HeldLease | undefined>;
}

/** Where the platform has none yet, compilers and polyfills agree on this one. */
const DISPOSE: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/** A lease in hand. */
export function hold(
  lease: Lease,
  calls: LeaseCalls,
  facts: { holder: string; replayed: boolean; leaseOver: boolean },
): HeldLease {
  const grantedAtMs = performance.now();
  let released: Promise<Marked> | undefined;
  let kept: (KeepAlive & { stop(): void }) | undefined;

  const renew =
    <Args extends unknown[]>(call: (...args: Args) => Promise<Lease>) =>
    async (...args: Args) => {
      const answer = await call(...args);
      Object.assign(held, answer);
      return answer;
    };

  const held: HeldLease = {
    ...lease,
    ...facts,
    async release(options) {
      // The holder may have leased the same sandbox anew, under another key: that lease is not this one's to end.
      if (facts.leaseOver) {
        throw new BrokerError('LEASE_OVER', 'The lease was over before it was asked for again.', {
          attempts: 0,
        });
      }
      kept?.stop();
      released ??= calls.giveBack(options).catch((error: unknown) => {
        // Another attempt may work.
        released = undefined;
        throw error;
      });
      return released;
    },
    extend: renew(calls.extend),
    heartbeat: renew(calls.heartbeat),
    async report(reason, options) {
      kept?.stop();
      return await calls.report(reason, options);
    },
    keepAlive() {
      kept ??= keepAlive(held, grantedAtMs);
      return kept;
    },
    async [DISPOSE]() {
      try {
        await held.release();
      } catch (error) {
        if (!isOver(error)) throw error;
      }
    },
  };
  return held;
}

/** Leases in hand that were taken together. */
export function holdAll(
  leases: readonly HeldLease[],
  facts: { holder: string; replayed: boolean },
): HeldLeases {
  return {
    ...facts,
    leases,
    release: (options) =>
      allOf(leases.filter(({ leaseOver }) => !leaseOver).map((lease) => lease.release(options))),
    async [DISPOSE]() {
      await allOf(leases.map((lease) => lease[DISPOSE]()));
    },
  };
}

/** Waits for all of them, also where one fails. */
async function allOf<Value>(calls: PromiseLike<Value>[]): Promise<Value[]> {
  await Promise.allSettled(calls);
  return await Promise.all(calls);
}
