import type { Clock } from '../../clock.ts';
import { BrokerError, StoreUnavailableError } from '../../domain/errors.ts';
import type { ReadinessFinding } from '../../domain/readiness.ts';
import { ProviderError } from '../../provider/provider.ts';
import type { Stock, SyncEnd } from '../../store/shared/stock.ts';
import type { SyncCounts, syncInventory } from './sync-inventory.ts';

/**
 * Whether the pool has ever been stocked. Before that "nothing is free" would be the truth and no answer: allocations
 * are asked to come back.
 *
 *     start ── never stocked ──▶ first sync ends well ──▶ stocked, for good
 *                                └ badly ─────────────▶ open all the same: with no provider, waiting does not help
 */
export interface Stocking {
  /** Allocations are answered. From memory. */
  isOpen(): boolean;
  /** Epoch milliseconds from which on counts are of a whole pool; 0 where it was stocked before the start. */
  openSinceMs(): number;
  /** Looks at what the table remembers; false where it is not the table that was opened. */
  look(signal: AbortSignal): Promise<boolean>;
  /** Whether the last look was not longer ago than this, milliseconds, and saw the table. From memory. */
  wasThereWithin(ms: number): boolean;
  /** `sync`, whose end is noted. */
  noting(sync: SyncInventory): SyncInventory;
  /** `allocate`, once the pool is open; until then it throws `POOL_NOT_SYNCED`. */
  guarding<Args extends unknown[], Result>(
    allocate: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result>;
  /** How the last sync ended, on whatever replica. */
  lastSync(): SyncEnd | undefined;
  readiness(): { pool: ReadinessFinding; sync: ReadinessFinding };
}

export interface StockingDeps {
  read: (signal: AbortSignal) => Promise<Stock | undefined>;
  noteSync: (end: SyncEnd) => Promise<void>;
  noteStocked: (nowMs: number, signal: AbortSignal) => Promise<void>;
  /** A table of an older version remembers nothing, and its sandboxes say as much. */
  hasSandboxes: (signal: AbortSignal) => Promise<boolean>;
  clock: Clock;
  /** From now on allocations are answered. */
  onOpen: () => void;
  /** What was to be noted could not be. */
  onError: (error: unknown) => void;
}

type SyncInventory = ReturnType<typeof syncInventory>;

const RETRY_AFTER_SECONDS = 2;

export function createStocking(deps: StockingDeps): Stocking {
  let stock: Omit<Stock, 'isKept'> | undefined;
  /** When the last sync before this start had ended; a later one is one that we waited for. */
  let endedBefore: number | undefined;
  let endedHere = false;
  let openSinceMs = 0;
  /** Of the last look, if it saw the table; on the monotonic clock. */
  let seenAtMs = Number.NEGATIVE_INFINITY;
  /** The table has said that it was stocked: where it does not say so any more, it was made anew. */
  let isRemembered = false;

  const isOpen = () =>
    stock !== undefined &&
    (stock.stockedAtMs !== undefined || endedHere || stock.lastSync?.endedAtMs !== endedBefore);

  function open(): void {
    openSinceMs = deps.clock.nowMs();
    deps.onOpen();
  }

  async function note(end: SyncEnd): Promise<void> {
    const stockedAtMs = stock?.stockedAtMs ?? (end.listed === undefined ? undefined : end.endedAtMs);
    // What is in memory holds here; the others find out by themselves.
    await deps.noteSync(end).catch(deps.onError);
    const wasOpen = isOpen();
    endedHere = true;
    stock = { stockedAtMs, lastSync: end };
    if (!wasOpen) open();
  }

  return {
    isOpen,
    openSinceMs: () => openSinceMs,

    wasThereWithin: (ms) => performance.now() - seenAtMs <= ms,

    async look(signal) {
      seenAtMs = Number.NEGATIVE_INFINITY;
      const read = await deps.read(signal);
      if (!read) return false;
      seenAtMs = performance.now();
      const isFirst = stock === undefined;
      if (isFirst || (isRemembered && read.stockedAtMs === undefined)) {
        endedBefore = read.lastSync?.endedAtMs;
        endedHere = false;
        stock = {};
        if (!read.isKept && read.stockedAtMs === undefined && (await deps.hasSandboxes(signal))) {
          read.stockedAtMs = deps.clock.nowMs();
          await deps.noteStocked(read.stockedAtMs, signal).catch(deps.onError);
        }
      }
      isRemembered = read.stockedAtMs !== undefined;
      const wasOpen = isOpen();
      stock = { stockedAtMs: read.stockedAtMs ?? stock?.stockedAtMs, lastSync: read.lastSync };
      if (!isFirst && !wasOpen && isOpen()) open();
      return true;
    },

    noting: (sync) => async (options, context, onProgress) => {
      // One that was told to stop says nothing about the pool.
      const unlessStopped = async (end: Omit<SyncEnd, 'endedAtMs'>) => {
        if (!context.signal.aborted) await note({ endedAtMs: deps.clock.nowMs(), ...end });
      };
      try {
        const counts = await sync(options, context, onProgress);
        await unlessStopped({ listed: counts.listed, error: wordForCounts(counts) });
        return counts;
      } catch (error) {
        await unlessStopped({ error: wordFor(error) });
        throw error;
      }
    },

    guarding:
      (allocate) =>
      async (...args) => {
        if (!isOpen()) {
          throw new BrokerError(
            'POOL_NOT_SYNCED',
            'The first sync of the pool has not ended yet. Try again.',
            {
              retryAfterSeconds: RETRY_AFTER_SECONDS,
            },
          );
        }
        return await allocate(...args);
      },

    lastSync: () => stock?.lastSync,

    readiness() {
      const error = stock?.lastSync?.error;
      const failed = error === undefined ? undefined : ` (${error})`;
      return {
        pool: !isOpen()
          ? { state: 'failing', detail: 'not synced yet' }
          : stock?.stockedAtMs === undefined
            ? { state: 'degraded', detail: `never stocked, the first sync failed${failed ?? ''}` }
            : { state: 'ok' },
        sync:
          failed === undefined
            ? { state: 'ok' }
            : { state: 'degraded', detail: `the last one failed${failed}` },
      };
    },
  };
}

/** What was wrong with a sync that came to its end. */
function wordForCounts({ stale_refused: refused, failed = 0 }: SyncCounts): string | undefined {
  if (refused > 0) return 'shrink_guard';
  return failed > 0 ? 'some_not_written' : undefined;
}

function wordFor(error: unknown): string {
  if (error instanceof ProviderError) return error.kind;
  return error instanceof StoreUnavailableError ? 'store_unavailable' : 'internal';
}
