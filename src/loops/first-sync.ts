import type { NewId } from '../clock.ts';
import { BrokerError } from '../domain/errors.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';
import type { RunNow, SyncOptions } from './run.ts';

/**
 * Stocks a pool that never was: looks whether that is still so, and syncs. Whoever is at the first sync may die of it, or be
 * of an older version that notes nothing; so every replica tries, over and over.
 */
export function firstSync(deps: {
  stocking: Pick<Stocking, 'isOpen' | 'look'>;
  sync: RunNow<SyncOptions>;
  newId: NewId;
}): (signal: AbortSignal) => Promise<void> {
  const { stocking } = deps;
  return async (signal) => {
    if (stocking.isOpen()) return;
    await stocking.look(signal);
    if (stocking.isOpen()) return;
    const requestId = `first-sync-${deps.newId()}`;
    const context = { actor: 'background_sync', requestId, correlationId: requestId, signal };
    await deps.sync({ force: false }, context).catch((error: unknown) => {
      // Another is at it, or it ended badly and is in the log.
      if (!(error instanceof BrokerError)) throw error;
    });
  };
}
