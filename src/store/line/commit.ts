import type { NewId } from '../../clock.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { CONDITION_FAILED, isConflict, TransactionCancelledError } from '../dynamo/errors.ts';
import type { Change, ChangeItems } from '../sandboxes/changes.ts';

/** What goes with a sandbox's change. */
export interface Company {
  /** Their conditions count. */
  decisive: TransactItems;
  beside: TransactItems;
  /** The key of a lease that ends: it may have moved on, and the change is made without it then. */
  keys?: TransactItems;
}

/** `lost`: somebody else has changed the sandbox; `failed`: the place of the decisive item whose condition does not hold. */
export type Committed = 'written' | 'lost' | { failed: number };

/** All replicas write the line's record, each one transaction at a time: with a few of them everybody's turn comes. */
const CONFLICT_RETRIES = 40;

/** Writes a sandbox's change and what goes with it, all or nothing. */
export function createCommit(client: StoreClient, { put }: Pick<ChangeItems, 'put'>, newId: NewId) {
  return async (
    change: Change,
    { decisive, beside, keys = [] }: Company,
    signal?: AbortSignal,
  ): Promise<Committed> => {
    const writeId = newId();
    let going = keys;
    const attempt = async (): Promise<Committed | 'conflict'> => {
      try {
        await client.transact([{ Put: put(change, writeId) }, ...decisive, ...beside, ...going], signal);
        return 'written';
      } catch (error) {
        if (!(error instanceof TransactionCancelledError)) throw error;
        const [sandbox, ...others] = error.reasons;
        if (sandbox?.code === CONDITION_FAILED) {
          return sandbox.item?.['write_id'] === writeId ? 'written' : 'lost';
        }
        const failed = others.findIndex(({ code }) => code === CONDITION_FAILED);
        if (failed >= 0 && failed < decisive.length) return { failed };
        if (failed >= decisive.length + beside.length) {
          going = [];
          return await attempt();
        }
        if (isConflict(error.reasons)) return 'conflict';
        throw error;
      }
    };
    const outcome = await retryConflicts(attempt, { signal, retries: CONFLICT_RETRIES });
    return outcome === 'conflict' ? 'lost' : outcome;
  };
}
