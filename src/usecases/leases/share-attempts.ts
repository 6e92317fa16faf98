import { hasCode, StoreUnavailableError } from '../../domain/errors.ts';
import { untilAborted } from '../../time-limit.ts';

/** What an attempt found out, and when it asked for that at the earliest, on the monotonic clock. */
export interface Answer<Result> {
  result: Result;
  askedAtMs: number;
}

type Ended<Result> =
  | ({ type: 'answer' } & Answer<Result>)
  | { type: 'failed'; error: unknown; startedAtMs: number; timeWasOver: boolean };

/**
 * Calls that ask for the same at once share an attempt.
 *
 * What the store said holds for the calls that came before it was asked: a later one asks again, since by the time it came
 * something may have been free, or the lease over. It waits no longer than its own `deadline`, and gives up no earlier
 * because another's time was over: then it makes an attempt of its own.
 *
 * `attempt` is told the answer that came too early for this call, if there was one. Returns the result, and whether it
 * is another's. Throws what the attempt threw, and `STORE_UNAVAILABLE` at the deadline.
 */
export function shareAttempts<Result>() {
  const underWay = new Map<string, Promise<Ended<Result>>>();

  async function begin(
    attempt: () => Promise<Answer<Result>>,
    deadline: AbortSignal,
  ): Promise<Ended<Result>> {
    const startedAtMs = performance.now();
    try {
      return { type: 'answer', ...(await attempt()) };
    } catch (error) {
      return { type: 'failed', error, startedAtMs, timeWasOver: deadline.aborted };
    }
  }

  return async (
    key: string,
    deadline: AbortSignal,
    attempt: (tooEarly: Result | undefined) => Promise<Answer<Result>>,
  ): Promise<{ result: Result; isShared: boolean }> => {
    const arrivedAtMs = performance.now();
    let tooEarly: Result | undefined;
    for (;;) {
      const others = underWay.get(key);
      const own = others ?? begin(() => attempt(tooEarly), deadline).finally(() => underWay.delete(key));
      underWay.set(key, own);
      const isShared = others !== undefined;
      const ended = isShared ? await untilDeadline(own, deadline) : await own;
      if (ended.type === 'failed') {
        const wasForThisCall = !isShared || (ended.startedAtMs >= arrivedAtMs && !ended.timeWasOver);
        if (wasForThisCall || !isPassing(ended.error)) throw ended.error;
      } else if (isShared && ended.askedAtMs < arrivedAtMs) {
        tooEarly = ended.result;
      } else {
        return { result: ended.result, isShared };
      }
    }
  };
}

const untilDeadline = <T>(work: Promise<T>, deadline: AbortSignal): Promise<T> =>
  untilAborted(work, deadline).catch((cause: unknown) => Promise.reject(new StoreUnavailableError(cause)));

const isPassing = (error: unknown): boolean => hasCode(error, 'STORE_UNAVAILABLE') || hasCode(error, 'BUSY');
