import { StoreUnavailableError } from '../../domain/errors.ts';
import type { StoreClient } from './client.ts';
import type { TransactItems } from './documents.ts';
import { type CancellationReason, CONDITION_FAILED, TransactionCancelledError } from './errors.ts';
import { createGroupCommit, type Verdict } from './group-commit.ts';

/** `lost`: somebody else has changed the sandbox; `alone`: it is open, or to be found out without company. */
export type SharedWrite = 'written' | 'lost' | 'alone';

/** One sandbox's part of a transaction, the sandbox first. */
export interface WritePiece {
  items: TransactItems;
  writeId: string;
}

const TRANSACTIONS = 4;
/** As many as callers send by themselves where answers are late. */
const TRANSACTIONS_WHERE_LATE = 16;
/** With up to four items each. DynamoDB allows 100 to a transaction. */
const WRITES_PER_TRANSACTION = 16;
/** So long after the store was out of reach nobody waits for others. */
const AWAY_MS = 1_000;

const NOTHING_WRONG = 'None';
const UNINTERRUPTED = new AbortController().signal;

/**
 * Tries changes of sandboxes once each, several to a transaction where they come at the same moment. What is in the way of one
 * of them is that one's own: whatever is not plainly written or lost is told to go `alone`, outside of the turns, where it
 * may wait for a conflict, for room or for the store without keeping anybody. An attempt that had no answer may come true:
 * the same `writeId` knows it then.
 */
export function createSharedWrites(
  client: StoreClient,
): (piece: WritePiece, signal?: AbortSignal) => Promise<SharedWrite> {
  let awayUntilMs = Number.NEGATIVE_INFINITY;

  async function send(pieces: WritePiece[], signal: AbortSignal): Promise<Verdict<SharedWrite>[]> {
    try {
      await client.transactOnce(
        pieces.flatMap(({ items }) => items),
        signal,
      );
      return pieces.map(() => ({ result: 'written' }));
    } catch (error) {
      if (error instanceof StoreUnavailableError) awayUntilMs = performance.now() + AWAY_MS;
      if (!(error instanceof TransactionCancelledError)) throw error;
      const left = [...error.reasons];
      const verdicts = pieces.map((piece) => judge(piece, left.splice(0, piece.items.length)));
      if (verdicts.every((verdict) => verdict === 'again')) throw error;
      return verdicts;
    }
  }

  const commit = createGroupCommit<WritePiece, SharedWrite>({
    calls: TRANSACTIONS,
    callsWhereLate: TRANSACTIONS_WHERE_LATE,
    size: WRITES_PER_TRANSACTION,
    touches: ({ items }) => items.map(nameOf),
    readiness: () => (performance.now() < awayUntilMs ? { result: 'alone' } : { waitMs: 0 }),
    send,
    concernsAll: (error) => error instanceof StoreUnavailableError,
  });

  return async (piece, signal = UNINTERRUPTED) => {
    try {
      return await commit(piece, signal);
    } catch (error) {
      if (!signal.aborted) return 'alone';
      throw error instanceof StoreUnavailableError ? error : new StoreUnavailableError(error);
    }
  };
}

/** What a cancellation means for one of those who shared it. */
function judge({ writeId }: WritePiece, [sandbox, ...others]: CancellationReason[]): Verdict<SharedWrite> {
  if (sandbox?.code === CONDITION_FAILED) {
    return { result: sandbox.item?.['write_id'] === writeId ? 'written' : 'lost' };
  }
  return [sandbox, ...others].every((reason) => (reason?.code ?? NOTHING_WRONG) === NOTHING_WRONG)
    ? 'again'
    : { result: 'alone' };
}

function nameOf({ Put, Update, Delete }: TransactItems[number]): string {
  const { pk, sk } = Put?.Item ?? Update?.Key ?? Delete?.Key ?? {};
  return JSON.stringify([pk, sk]);
}
