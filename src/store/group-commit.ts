/** What became of one piece of a group: its result, or nothing, because only the others' fate was decided. */
export type Decided<Result> = { result: Result } | undefined;

export interface GroupCommitOptions<Piece, Result> {
  /** Calls under way at once at the most. While there are fewer, every piece goes out at once and on its own. */
  calls: number;
  /** Pieces to a call at the most. */
  size: number;
  /** What no two pieces of a call may have in common. */
  touches(piece: Piece): readonly string[];
  /**
   * Carries out all pieces in one call, or none. Gives one answer per piece, in their order, and decides about one at
   * least. Throws when the call as a whole went wrong.
   */
  send(pieces: Piece[], signal: AbortSignal): Promise<Decided<Result>[]>;
  /** Whether an error that `send` threw would be the same for each piece on its own. */
  concernsAll(error: unknown): boolean;
}

/**
 * Sends a piece, with others if it has to wait for its turn. Throws the signal's reason as soon as that fires; a piece
 * that was under way then may still be carried out, one that was waiting is not.
 */
export type GroupCommit<Piece, Result> = (piece: Piece, signal: AbortSignal) => Promise<Result>;

interface Member<Piece, Result> {
  piece: Piece;
  signal: AbortSignal;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/**
 * Group commit, as databases have it: with few callers each piece is a call of its own, and with many they share calls
 * instead of queueing for them. The more there is to do, the less each piece costs.
 *
 *     calls under way  < `calls`   a piece is sent at once, alone
 *                      = `calls`   it waits; the next call that ends takes up to `size` of those who wait
 *
 * A call that was refused because of some of its pieces is sent again without them, in the same turn: each refused piece
 * costs one call at the most, as it would on its own.
 */
export function createGroupCommit<Piece, Result>(
  options: GroupCommitOptions<Piece, Result>,
): GroupCommit<Piece, Result> {
  type Group = Member<Piece, Result>[];
  const waiting = new Set<Member<Piece, Result>>();
  let underWay = 0;
  /** Pieces to a call at this moment. */
  let size = options.size;

  function nextGroup(): Group {
    const group: Group = [];
    const touched = new Set<string>();
    for (const member of waiting) {
      if (group.length >= size) break;
      const touches = options.touches(member.piece);
      if (touches.some((name) => touched.has(name))) continue;
      for (const name of touches) touched.add(name);
      waiting.delete(member);
      group.push(member);
    }
    return group;
  }

  /** One call; returns those of the group who have to be sent again. */
  async function attempt(group: Group): Promise<Group> {
    const limit = untilAllGaveUp(group.map(({ signal }) => signal));
    try {
      const pieces = group.map(({ piece }) => piece);
      const answers = await options.send(pieces, limit.signal);
      const undecided = group.filter((member, index) => {
        const answer = answers[index];
        if (answer) member.resolve(answer.result);
        return !answer;
      });
      size = undecided.length > 0 ? Math.ceil(size / 2) : Math.min(2 * size, options.size);
      return undecided;
    } catch (error) {
      if (group.length === 1 || options.concernsAll(error)) {
        for (const member of group) member.reject(error);
      } else {
        await Promise.all(group.map((member) => run([member])));
      }
      return [];
    } finally {
      limit.clear();
    }
  }

  async function run(group: Group): Promise<void> {
    let left = group;
    while (left.length > 0) {
      const again = await attempt(left);
      left = again.filter(({ signal }) => !signal.aborted);
    }
  }

  function sendWaiting(): void {
    while (underWay < options.calls && waiting.size > 0) {
      underWay++;
      void run(nextGroup()).finally(() => {
        underWay--;
        sendWaiting();
      });
    }
  }

  return async (piece, signal) => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const member = { piece, signal, resolve, reject };
    const giveUp = () => {
      waiting.delete(member);
      reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    waiting.add(member);
    sendWaiting();
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  };
}

/** A signal that fires when the last of `signals` has: somebody waits for a shared call until then. */
function untilAllGaveUp(signals: readonly AbortSignal[]): { signal: AbortSignal; clear(): void } {
  const [only] = signals;
  if (only && signals.length === 1) return { signal: only, clear: () => undefined };
  const controller = new AbortController();
  const check = () => {
    if (signals.every(({ aborted }) => aborted)) controller.abort();
  };
  for (const signal of signals) signal.addEventListener('abort', check, { once: true });
  return {
    signal: controller.signal,
    clear() {
      for (const signal of signals) signal.removeEventListener('abort', check);
    },
  };
}
