import { setTimeout as delay } from 'node:timers/promises';
import type { InventoryItem } from '../domain/inventory.ts';
import { openListing } from '../domain/listed.ts';
import type { ProviderErrorKind } from '../domain/provider-error.ts';
import { observedCall } from './observed-call.ts';
import { type Provider, ProviderError, type ProviderObserver } from './provider.ts';

const MAX_POOL_SIZE = 100_000;

export interface SimulatedProviderOptions {
  /** How many sandboxes there are, 0 to 100,000. */
  poolSize: number;
  observe?: ProviderObserver | undefined;
}

export interface SimulatedFailure {
  operation: 'list' | 'delete';
  kind: ProviderErrorKind;
  /** How many calls in a row fail; `Infinity` until {@link SimulatedProvider.recover}. 1 by default. */
  times?: number;
  retryAfterMs?: number;
  /** Only deletes of this sandbox fail; any call otherwise. */
  sandboxId?: string;
}

/** A provider for development, tests and drills, with a hand on what goes wrong. */
export interface SimulatedProvider extends Provider {
  readonly name: 'simulated';
  /** Lets coming calls fail. Failures queue up: the first that fits a call is used. */
  fail(failure: SimulatedFailure): void;
  /** Lets every coming call of that kind take so long, milliseconds, 0 for no time at all. */
  takeTime(operation: 'list' | 'delete', delayMs: number): void;
  /** Forgets all failures and delays. */
  recover(): void;
}

/**
 * A pool of `poolSize` sandboxes (`sim-0001` named `lab-0001`, and so on) that recycles what is deleted. It keeps no
 * state: after a restart the same sandboxes are there. Throws RangeError for a pool size that cannot be.
 */
export function createSimulatedProvider({ poolSize, observe }: SimulatedProviderOptions): SimulatedProvider {
  if (!Number.isSafeInteger(poolSize) || poolSize < 0 || poolSize > MAX_POOL_SIZE) {
    throw new RangeError(`poolSize must be a whole number from 0 to ${MAX_POOL_SIZE}, got ${poolSize}`);
  }
  const externalIds = new Set(Array.from({ length: poolSize }, (_, index) => sandboxAt(index).externalId));
  let failures: (SimulatedFailure & { times: number })[] = [];
  const delaysMs = { list: 0, delete: 0 };

  async function happen(
    operation: 'list' | 'delete',
    signal: AbortSignal,
    sandboxId?: string,
  ): Promise<void> {
    try {
      if (delaysMs[operation] > 0) await delay(delaysMs[operation], undefined, { signal });
      signal.throwIfAborted();
    } catch (error) {
      throw givenUp(operation, error);
    }
    const failure = failures.find(
      (one) => one.operation === operation && (one.sandboxId === undefined || one.sandboxId === sandboxId),
    );
    if (failure === undefined) return;
    failure.times -= 1;
    failures = failures.filter((one) => one.times > 0);
    const { kind, retryAfterMs } = failure;
    throw new ProviderError(
      kind,
      `the simulated ${operation} was told to fail`,
      retryAfterMs === undefined ? {} : { retryAfterMs },
    );
  }

  return {
    name: 'simulated',

    listSandboxes: (signal) =>
      observedCall('list', observe, async () => {
        await happen('list', signal);
        const items = openListing(Array.from({ length: poolSize }, (_, index) => sandboxAt(index)));
        return { items, invalid: 0 };
      }),

    deleteSandbox: (sandbox, signal) =>
      observedCall('delete', observe, async () => {
        await happen('delete', signal, sandbox.sandboxId);
        return externalIds.has(sandbox.externalId) ? 'recycled' : 'already_gone';
      }),

    close: () => Promise.resolve(),

    fail(failure) {
      const { times = 1 } = failure;
      if (!(times === Number.POSITIVE_INFINITY || (Number.isSafeInteger(times) && times > 0))) {
        throw new RangeError(`times must be a whole number >= 1 or Infinity, got ${times}`);
      }
      failures.push({ ...failure, times });
    },

    takeTime(operation, delayMs) {
      if (!(delayMs >= 0 && delayMs < 2 ** 31))
        throw new RangeError(`delayMs must be >= 0 and < 2^31, got ${delayMs}`);
      delaysMs[operation] = delayMs;
    },

    recover() {
      failures = [];
      delaysMs.list = 0;
      delaysMs.delete = 0;
    },
  };
}

function givenUp(operation: 'list' | 'delete', cause: unknown): ProviderError {
  return new ProviderError('aborted', `the simulated ${operation} was given up`, { cause });
}

/** Follows from the number alone, so that a restart, or another replica, sees the same sandboxes. */
function sandboxAt(index: number): InventoryItem {
  const number = String(index + 1).padStart(4, '0');
  return {
    sandboxId: `sim-${number}`,
    externalId: `simulated/sandboxes/${number}`,
    name: `lab-${number}`,
    metadata: { account_type: 'sandbox', state: 'active' },
  };
}
