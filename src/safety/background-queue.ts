import { limitTime, pause, untilAborted } from '../time-limit.ts';

/** Work for later, one item at a time, in order. Whoever hands it over waits for nothing. */
export interface BackgroundQueue<T> {
  /** False: the queue is full or closed, and the item is not in it. */
  push(item: T): boolean;
  /** Items that wait or are being worked on. */
  readonly length: number;
  /**
   * Takes no more items, and works on those it has for `withinMs` at most; what cannot be done now is not waited for.
   * Resolves with the items that were not done. Idempotent: a second call awaits the first.
   */
  close(withinMs: number): Promise<T[]>;
}

export interface BackgroundQueueOptions<T> {
  /** Items at most, the one being worked on included. */
  capacity: number;
  /**
   * Resolves when the item is done with, whatever became of it, or with the milliseconds after which it is to be tried
   * again: the items behind it wait as well. What it throws counts as done.
   */
  work: (item: T, signal: AbortSignal) => Promise<number | undefined>;
}

/** Throws a `RangeError` for a capacity that is no whole number >= 1. */
export function createBackgroundQueue<T>({ capacity, work }: BackgroundQueueOptions<T>): BackgroundQueue<T> {
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new RangeError(`capacity must be a whole number >= 1, not ${capacity}`);
  }
  const items: T[] = [];
  const givenUp: T[] = [];
  const aborting = new AbortController();
  /** Ends the wait before another try. */
  const closing = new AbortController();
  let working = Promise.resolve();
  let isWorking = false;
  let closed: Promise<T[]> | undefined;

  async function workItOff(): Promise<void> {
    for (let item = items[0]; item !== undefined; item = items[0]) {
      const againInMs = await tryOnce(item);
      if (againInMs !== undefined && !closing.signal.aborted) {
        await pause(againInMs, closing.signal);
        continue;
      }
      if (againInMs !== undefined) givenUp.push(item);
      items.shift();
    }
    isWorking = false;
  }

  async function tryOnce(item: T): Promise<number | undefined> {
    try {
      return await work(item, aborting.signal);
    } catch {
      return undefined;
    }
  }

  async function close(withinMs: number): Promise<T[]> {
    closing.abort();
    const time = limitTime(withinMs);
    // Work that does not heed its signal is not waited for either.
    await untilAborted(working, time.signal).catch(() => aborting.abort());
    time.clear();
    return [...givenUp, ...items.splice(0)];
  }

  return {
    push(item) {
      if (closed !== undefined || items.length >= capacity) return false;
      items.push(item);
      if (!isWorking) {
        isWorking = true;
        working = workItOff();
      }
      return true;
    },
    get length() {
      return items.length;
    },
    close(withinMs) {
      closed ??= close(withinMs);
      return closed;
    },
  };
}
