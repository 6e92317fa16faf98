import type { NewId } from '../../clock.ts';
import { StoreUnavailableError } from '../../domain/errors.ts';
import type { LineState } from '../../domain/line.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import {
  type CancellationReason,
  CONDITION_FAILED,
  CONFLICT,
  isConflict,
  TransactionCancelledError,
} from '../dynamo/errors.ts';
import { createGroupCommit, type Verdict } from '../dynamo/group-commit.ts';
import type { Change, ChangeItems } from '../sandboxes/changes.ts';
import { putEvent } from '../sandboxes/events.ts';

/** `lost`: somebody else has changed the sandbox; `line_moved`: somebody has joined. */
export type Freed = 'written' | 'lost' | 'line_moved';

export type Free = (change: Change, state: Pick<LineState, 'seq'>, signal?: AbortSignal) => Promise<Freed>;

/** With four items each, and one for all of them: the line's record. DynamoDB allows 100 to a transaction. */
const FREED_PER_TRANSACTION = 24;
/** All replicas write the line's record, each one transaction at a time: with a few of them everybody's turn comes. */
const CONFLICTS_AT_MOST = 40;

interface Piece {
  change: Change;
  seq: number;
  writeId: string;
  /** Of a lease that ends; it may have moved on, and the change is made without it then. */
  keys: TransactItems;
  conflicts: number;
}

/**
 * Makes sandboxes free. One transaction of this process is under way at a time: each writes the line's record, and two
 * would only be in each other's way. Those that come meanwhile share the next one; what happens to one of them never
 * changes another's answer.
 */
export function createFree(
  client: StoreClient,
  items: ChangeItems,
  freeing: (state: Pick<LineState, 'seq'>) => TransactItems,
  newId: NewId,
): Free {
  /** Somebody else writes one of the records at this moment; on the monotonic clock. */
  let notBeforeMs = 0;

  const itemsOf = ({ change, writeId, keys }: Piece): TransactItems => [
    { Put: items.put(change, writeId) },
    ...(change.event ? [putEvent(client.table, change.event)] : []),
    ...items.dropPointer(change),
    ...keys,
  ];

  async function send(pieces: Piece[], signal: AbortSignal): Promise<Verdict<Freed>[]> {
    // Who found nobody in an earlier line has not looked at those who joined since.
    const seq = Math.max(...pieces.map((piece) => piece.seq));
    const going = pieces.filter((piece) => piece.seq === seq);
    const verdicts = new Map(await attempt(going, seq, signal));
    return pieces.map((piece) => verdicts.get(piece) ?? { result: 'line_moved' });
  }

  async function attempt(
    pieces: readonly Piece[],
    seq: number,
    signal: AbortSignal,
  ): Promise<[Piece, Verdict<Freed>][]> {
    const all = (verdict: Verdict<Freed>): [Piece, Verdict<Freed>][] =>
      pieces.map((piece) => [piece, verdict]);
    const state = freeing({ seq });
    const groups = pieces.map(itemsOf);
    try {
      await client.transact([...state, ...groups.flat()], signal);
      return all({ result: 'written' });
    } catch (error) {
      if (!(error instanceof TransactionCancelledError)) throw error;
      const left = [...error.reasons];
      const [ofState] = left.splice(0, state.length);
      const reasons = groups.map(({ length }) => left.splice(0, length));
      if (isConflict(error.reasons)) notBeforeMs = performance.now() + 5 + Math.random() * 20;
      const keys = pieces.map((piece) => piece.keys);
      const verdicts = pieces.map((piece, index): [Piece, Verdict<Freed>] => [
        piece,
        judge(piece, reasons[index] ?? [], ofState),
      ]);
      const isAsBefore = pieces.every((piece, index) => piece.keys === keys[index]);
      if (isAsBefore && verdicts.every(([, verdict]) => verdict === 'again')) throw error;
      return verdicts;
    }
  }

  const commit = createGroupCommit<Piece, Freed>({
    calls: 1,
    size: FREED_PER_TRANSACTION,
    touches: ({ change, keys }) => [
      change.next.id,
      ...keys.map((key) => JSON.stringify(key.Update?.Key ?? key.Delete?.Key)),
    ],
    readiness: () => ({ waitMs: Math.max(0, notBeforeMs - performance.now()) }),
    send,
    concernsAll: (error) => error instanceof StoreUnavailableError,
  });

  return async (change, { seq }, signal = new AbortController().signal) => {
    const keys = items.changeKey(change);
    try {
      return await commit({ change, seq, writeId: newId(), keys, conflicts: 0 }, signal);
    } catch (error) {
      throw signal.aborted && error === signal.reason ? new StoreUnavailableError(error) : error;
    }
  };
}

const isOurs = ({ writeId }: Piece, sandbox: CancellationReason | undefined): boolean =>
  sandbox?.code === CONDITION_FAILED && sandbox.item?.['write_id'] === writeId;

/** What a cancellation means for one of those who shared it. */
function judge(
  piece: Piece,
  reasons: CancellationReason[],
  ofState: CancellationReason | undefined,
): Verdict<Freed> {
  // The answer to an earlier transaction was lost: it has come true for those who were in it, and for nobody else.
  if (isOurs(piece, reasons[0])) return { result: 'written' };
  if (reasons[0]?.code === CONDITION_FAILED) return { result: 'lost' };
  if (ofState?.code === CONDITION_FAILED) return { result: 'line_moved' };
  if (reasons.some(({ code }) => code === CONDITION_FAILED)) {
    piece.keys = [];
    return 'again';
  }
  if (ofState?.code !== CONFLICT && !isConflict(reasons)) return 'again';
  return piece.conflicts++ < CONFLICTS_AT_MOST ? 'later' : { result: 'lost' };
}
