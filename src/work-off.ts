/** How far the work on many things came. */
export interface WorkedOff {
  /** Things whose work failed; each was told of. */
  failed: number;
}

export interface WorkOffOptions<T> {
  /** Under way at once, >= 1. */
  atOnce: number;
  /** No more is begun once it fires; what is under way is awaited. */
  signal: AbortSignal;
  /** Told which one failed. What fails once it was told to stop is not told of. */
  onFailure: (item: T, error: unknown) => void;
}

/** So many failures in a row, and nothing that came through, are not the things' own fault: the rest would fail, too. */
const GIVE_UP_AFTER = 10;

/**
 * Does `work` on everything that `items` yields, a few at a time, and goes on past one that fails. Throws what reading
 * the items throws, and the last failure where all have failed, or so many in a row that there is no point in going on;
 * what was under way has ended by then.
 */
export async function workOff<T>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<void>,
  { atOnce, signal, onFailure }: WorkOffOptions<T>,
): Promise<WorkedOff> {
  const underWay = new Set<Promise<void>>();
  let done = 0;
  let failed = 0;
  let inARow = 0;
  let last: unknown;

  async function one(item: T): Promise<void> {
    try {
      await work(item);
      done++;
      inARow = 0;
    } catch (error) {
      if (signal.aborted) return;
      failed++;
      inARow++;
      last = error;
      onFailure(item, error);
    }
  }

  try {
    for await (const item of items) {
      if (signal.aborted || inARow >= GIVE_UP_AFTER) break;
      const run: Promise<void> = one(item).finally(() => underWay.delete(run));
      underWay.add(run);
      if (underWay.size >= atOnce) await Promise.race(underWay);
    }
  } catch (error) {
    // Told to stop while it read on: what was done by then can be told.
    if (!signal.aborted) throw error;
  } finally {
    await Promise.all(underWay);
  }
  if (failed > 0 && (done === 0 || inARow >= GIVE_UP_AFTER)) throw last;
  return { failed };
}
