import type { NewId } from '../../clock.ts';
import { KeyMovedOnError } from '../../domain/errors.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import { workOff } from '../../work-off.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import type { Item, TransactItems } from '../dynamo/documents.ts';
import {
  CONDITION_FAILED,
  ConditionFailedError,
  isConflict,
  TransactionCancelledError,
} from '../dynamo/errors.ts';
import { createSharedWrites } from '../dynamo/shared-writes.ts';
import { type Change, createChangeItems } from './changes.ts';
import { putEvent } from './events.ts';
import { type BucketPace, createGrants, type Grant, type GrantOutcome } from './grants.ts';
import { createGroupGrants } from './group-grants.ts';
import { toSandbox } from './items.ts';
import { sandboxKey } from './keys.ts';
import { changeKeyAnew } from './lease-keys.ts';

export interface WriteAllOptions {
  signal?: AbortSignal;
  /** Asked right before each write: throws where it is not ours to make any more. */
  assertHeld?: (() => void) | undefined;
  /** A change was decided; not `isWritten`: somebody else was faster. */
  onSettled?: (change: Change, isWritten: boolean) => void;
  /** A change could not be written. */
  onFailure?: (change: Change, error: unknown) => void;
  /** Who has a say in what several of them do at once; asked about each transaction. */
  guard?: (changes: readonly Change[]) => Promise<TransactItems | 'one_by_one'>;
  /** Writes one on its own; {@link SandboxStore.write} where it is not said. */
  writeOne?: SandboxStore['write'];
}

export interface SandboxStore {
  /** Strongly consistent. */
  get(sandboxId: string, signal?: AbortSignal): Promise<Sandbox | undefined>;
  /** Leases a sandbox to a key: key, sandbox and event, all or nothing. */
  grant(grant: Grant, signal?: AbortSignal): Promise<GrantOutcome>;
  /** Leases several sandboxes to a key, all or none. */
  grantSeveral: ReturnType<typeof createGroupGrants>;
  /** Writes a change if nobody was faster, with others' of the same moment where it is recorded; false: read again and decide again. A lease that ends frees its key, or tells it; one that goes on longer takes it along, or throws {@link KeyMovedOnError}. */
  write(change: Change, signal?: AbortSignal): Promise<boolean>;
  /**
   * Writes many changes, several to a transaction, in their order, and asks for them as they are due; returns how many were
   * written. Goes on past one that cannot be, and throws where none can, or so many in a row that there is no point in going
   * on. Told to stop, it returns.
   */
  writeAll(changes: Changes, options?: WriteAllOptions): Promise<number>;
  /** Which buckets take grants at the moment. */
  readonly bucketPace: BucketPace;
}

export type Changes = Iterable<Change> | AsyncIterable<Change>;

/** A transaction has at most 100 items, of which one may be for all the changes in it. */
const ITEMS_PER_TRANSACTION = 99;
const UNINTERRUPTED = new AbortController().signal;

/**
 * The sandboxes of one table. `buckets` must be the number the table was laid out with. Of the transactions that lease
 * sandboxes `grantTransactions` are under way at once at the most; callers beyond that share them.
 */
export function createSandboxStore(
  client: StoreClient,
  buckets: number,
  newId: NewId,
  grantTransactions?: number,
): SandboxStore {
  const items = createChangeItems(client.table, buckets);

  /** One attempt: `conflict` when another transaction is at work on one of the items at this moment. */
  async function tryWrite(
    change: Change,
    keyItems: TransactItems,
    writeId: string,
    signal?: AbortSignal,
  ): Promise<'written' | 'lost' | { keyRefused: Item | undefined } | 'conflict'> {
    try {
      if (change.event) {
        await client.transact(
          [
            { Put: items.put(change, writeId) },
            putEvent(client.table, change.event),
            ...keyItems,
            ...items.dropPointer(change),
          ],
          signal,
        );
      } else {
        await client.put(items.put(change, writeId), signal);
      }
      return 'written';
    } catch (error) {
      if (error instanceof ConditionFailedError) return error.item?.write_id === writeId ? 'written' : 'lost';
      if (!(error instanceof TransactionCancelledError)) throw error;
      const [sandbox, , key] = error.reasons;
      if (sandbox?.code === CONDITION_FAILED) return sandbox.item?.write_id === writeId ? 'written' : 'lost';
      if (key?.code === CONDITION_FAILED) return { keyRefused: key.item };
      if (isConflict(error.reasons)) return 'conflict';
      throw error;
    }
  }

  const writeShared = createSharedWrites(client);

  async function write(change: Change, signal?: AbortSignal): Promise<boolean> {
    const writeId = newId();
    // What needs no transaction is cheaper without one.
    if (change.event) {
      const shared = await writeShared({ items: items.all(change, writeId), writeId }, signal);
      if (shared !== 'alone') return shared === 'written';
    }
    let keyItems = items.changeKey(change);
    const attempt = async (): Promise<'written' | 'lost' | 'conflict'> => {
      const outcome = await tryWrite(change, keyItems, writeId, signal);
      if (typeof outcome === 'string') return outcome;
      const anew = changeKeyAnew(client.table, change, outcome.keyRefused);
      if (anew === undefined && change.next.status === 'allocated') throw new KeyMovedOnError();
      // The key belongs to a later lease by now, or its time was over: this one ends without it.
      keyItems = anew ?? [];
      return await attempt();
    };
    return (await retryConflicts(attempt, { signal })) === 'written';
  }

  /** All of them or, with false, none, as far as is known. */
  async function writeChunk(
    chunk: Change[],
    writeId: string,
    signal: AbortSignal,
    guard: WriteAllOptions['guard'],
  ): Promise<boolean> {
    try {
      const guarding = (await guard?.(chunk)) ?? [];
      if (guarding === 'one_by_one') return false;
      await client.transact([...chunk.flatMap((change) => items.all(change, writeId)), ...guarding], signal);
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      return false;
    }
  }

  /**
   * The changes, after an attempt at several at once. Where that failed, one of them was changed by somebody else or cannot
   * be written, or the answer to our own commit was lost: each is to be tried on its own then.
   */
  async function* inChunks(changes: Changes, { signal = UNINTERRUPTED, assertHeld, guard }: WriteAllOptions) {
    for await (const chunk of chunksOf(changes, (change) => items.all(change, '').length)) {
      const writeId = newId();
      assertHeld?.();
      const isDone = await writeChunk(chunk, writeId, signal, guard);
      for (const change of chunk) yield { change, writeId, isDone };
    }
  }

  async function isOurs(change: Change, writeId: string, signal?: AbortSignal): Promise<boolean> {
    return (await client.get(sandboxKey(change.next.id, buckets), signal))?.write_id === writeId;
  }

  return {
    async get(sandboxId, signal) {
      const item = await client.get(sandboxKey(sandboxId, buckets), signal);
      return item && toSandbox(item);
    },

    ...createGrants(client, buckets, grantTransactions),

    grantSeveral: createGroupGrants(client, buckets),

    write,

    async writeAll(changes, options = {}) {
      const { signal = UNINTERRUPTED, assertHeld, onSettled, onFailure, writeOne = write } = options;
      let written = 0;
      await workOff(
        inChunks(changes, options),
        async ({ change, writeId, isDone }) => {
          if (!isDone) assertHeld?.();
          const isWritten =
            isDone || (await writeOne(change, signal)) || (await isOurs(change, writeId, signal));
          if (isWritten) written++;
          onSettled?.(change, isWritten);
        },
        { atOnce: 1, signal, onFailure: ({ change }, error) => onFailure?.(change, error) },
      );
      return written;
    },
  };
}

/** As many of the changes together as a transaction takes. */
async function* chunksOf(
  changes: Changes,
  itemsOf: (change: Change) => number,
): AsyncGenerator<Change[], void, void> {
  let chunk: Change[] = [];
  let size = 0;
  for await (const change of changes) {
    const more = itemsOf(change);
    if (size + more > ITEMS_PER_TRANSACTION) {
      yield chunk;
      chunk = [];
      size = 0;
    }
    chunk.push(change);
    size += more;
  }
  if (chunk.length > 0) yield chunk;
}
