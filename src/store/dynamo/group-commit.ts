import { createTurns, type Turn } from './turns.ts';

/** What became of one piece of a call. */
export type Verdict<Result> =
  | { result: Result }
  /** Only the others' fate was decided: it goes again at once. */
  | 'again'
  /** There was no room for it: it goes again when it may. */
  | 'later';

/** Whether a piece may be sent: at once, in so many milliseconds, or not at all, for this result. */
export type Readiness<Result> = { waitMs: number } | { result: Result };

export interface GroupCommitOptions<Piece, Result> {
  /** Calls under way at once. While there are fewer, every piece goes out at once and on its own. */
  calls: number;
  /** Calls under way at the most where the answers to some of them are late; as many as `calls` by default. */
  callsWhereLate?: number;
  /** Pieces to a call at the most. */
  size: number;
  /** What no two pieces of a call may have in common. */
  touches(piece: Piece): readonly string[];
  /** Asked about a piece whenever it might be sent. */
  readiness(piece: Piece): Readiness<Result>;
  /**
   * Carries out all pieces in one call, or none. Gives one verdict per piece, in their order, and says `again` to all
   * of them never. Throws when the call as a whole went wrong.
   */
  send(pieces: Piece[], signal: AbortSignal): Promise<Verdict<Result>[]>;
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
 * costs one call at the most, as it would on its own. Refusals make calls smaller, and one that goes wrong as a whole
 * halves how many are under way, too; each that is carried out gives some of it back. A call whose answer is late, while
 * others are answered, is not waited for, and says nothing about the store.
 */
export function createGroupCommit<Piece, Result>(
  options: GroupCommitOptions<Piece, Result>,
): GroupCommit<Piece, Result> {
  type Group = Member<Piece, Result>[];
  let waiting = new Set<Member<Piece, Result>>();
  /** Pieces to a call at this moment. */
  let size = options.size;
  const turns = createTurns({
    turns: options.calls,
    calls: options.callsWhereLate ?? options.calls,
  });
  /** Runs while all who wait are held back, until one of them may go. */
  let timer: { atMs: number; handle: NodeJS.Timeout } | undefined;
  /** Runs while some wait for a turn that a late call may pass on. */
  let lateTimer: NodeJS.Timeout | undefined;

  /** Those who may go now; where there are none, `waitMs` says when there may be some. */
  function nextGroup(): { group: Group; waitMs: number } {
    const group: Group = [];
    const touched = new Set<string>();
    let waitMs = Number.POSITIVE_INFINITY;
    for (const member of waiting) {
      if (group.length >= size) break;
      const readiness = options.readiness(member.piece);
      if ('result' in readiness) {
        waiting.delete(member);
        member.resolve(readiness.result);
        continue;
      }
      if (readiness.waitMs > 0) {
        waitMs = Math.min(waitMs, readiness.waitMs);
        continue;
      }
      const touches = options.touches(member.piece);
      if (touches.some((name) => touched.has(name))) continue;
      for (const name of touches) touched.add(name);
      waiting.delete(member);
      group.push(member);
    }
    return { group, waitMs };
  }

  /** Back to those who wait, at the front: they came before them. */
  function waitAgain(group: Group): void {
    if (group.length > 0) waiting = new Set([...group.filter(stillWants), ...waiting]);
  }

  /** One call; returns those of the group who have to be sent again. */
  async function attempt(group: Group, turn: Turn): Promise<Group> {
    const limit = untilAllGaveUp(group.map(({ signal }) => signal));
    try {
      const pieces = group.map(({ piece }) => piece);
      turn.sent();
      const verdicts = await options.send(pieces, limit.signal);
      turn.answered();
      const again: Group = [];
      const later: Group = [];
      for (const [index, member] of group.entries()) {
        const verdict = verdicts[index] ?? 'again';
        if (verdict === 'again') again.push(member);
        else if (verdict === 'later') later.push(member);
        else member.resolve(verdict.result);
      }
      const isDone = again.length + later.length === 0;
      size = isDone ? Math.min(2 * size, options.size) : Math.ceil(size / 2);
      if (isDone) turns.widen();
      waitAgain(later);
      return again;
    } catch (error) {
      if (options.concernsAll(error) && !turn.isOvertaken()) {
        size = Math.ceil(size / 2);
        turns.narrow();
      }
      if (group.length === 1 || options.concernsAll(error)) {
        for (const member of group) member.reject(error);
      } else {
        await Promise.all(group.map((member) => run([member], turn)));
      }
      return [];
    } finally {
      limit.clear();
    }
  }

  async function run(group: Group, turn: Turn): Promise<void> {
    let left = group;
    while (left.length > 0 && !turn.isPassedOn) left = (await attempt(left, turn)).filter(stillWants);
    waitAgain(left);
  }

  function holdBack(waitMs: number): void {
    const atMs = performance.now() + waitMs;
    if (timer && timer.atMs <= atMs) return;
    clearTimeout(timer?.handle);
    timer = { atMs, handle: setTimeout(sendWaiting, waitMs) };
  }

  /** A new one among those who wait; where all of them are held back, they need not be asked about again. */
  function joinWaiting(member: Member<Piece, Result>): void {
    waiting.add(member);
    const readiness = timer && options.readiness(member.piece);
    if (readiness && 'waitMs' in readiness && readiness.waitMs > 0) holdBack(readiness.waitMs);
    else sendWaiting();
  }

  function lookForLate(): void {
    const inMs = lateTimer ? undefined : turns.passedOnInMs();
    if (inMs === undefined) return;
    lateTimer = setTimeout(() => {
      lateTimer = undefined;
      sendWaiting();
    }, inMs);
  }

  function sendWaiting(): void {
    clearTimeout(timer?.handle);
    timer = undefined;
    while (waiting.size > 0) {
      const turn = turns.take();
      if (!turn) {
        lookForLate();
        return;
      }
      const { group, waitMs } = nextGroup();
      if (group.length === 0) {
        turn.end();
        if (waitMs < Number.POSITIVE_INFINITY) holdBack(waitMs);
        return;
      }
      void run(group, turn).finally(() => {
        turn.end();
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
    joinWaiting(member);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  };
}

const stillWants = ({ signal }: { signal: AbortSignal }): boolean => !signal.aborted;

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
