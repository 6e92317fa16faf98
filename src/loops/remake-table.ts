import type { NewId } from '../clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RunNow, SyncOptions } from './run.ts';

const REFILL_WITHIN_MS = 60_000;

/**
 * Makes a table anew that was lost with an engine that kept all in memory, says what was lost, and has the pool listed
 * again. Fails in the log: the next restart tries again, or the next sync.
 */
export function remakeTable(deps: {
  openTable: (signal: AbortSignal) => Promise<void>;
  /** What is remembered of the lost table's sandboxes is no longer true. */
  forget: () => void;
  sync: RunNow<SyncOptions>;
  newId: NewId;
  logger: Pick<Logger, 'info' | 'error'>;
}): () => Promise<void> {
  const { logger, newId } = deps;

  async function remake(): Promise<void> {
    logger.error(
      { action: 'engine', outcome: 'emptied' },
      'the store in memory is lost: sandboxes, leases, keys, history. SANDBOX_DB_URL=embedded:<file> keeps them',
    );
    const signal = AbortSignal.timeout(REFILL_WITHIN_MS);
    await deps.openTable(signal);
    deps.forget();
    const ids = { requestId: newId(), correlationId: newId() };
    await deps.sync({ force: false }, { actor: 'engine_restart', ...ids, signal });
    logger.info({ action: 'engine', outcome: 'refilled' }, 'the table was made anew, and the pool listed');
  }

  return () =>
    remake().catch((error: unknown) =>
      logger.error(
        { action: 'engine', outcome: 'error', err: error },
        'the table was not made anew or not filled; the next restart tries again, or the next sync',
      ),
    );
}
