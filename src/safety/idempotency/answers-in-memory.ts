import type { Clock, NewId } from '../../clock.ts';
import type {
  KeptAnswer,
  KeptAnswers,
  KeyedRequest,
  Undertaking,
} from '../../domain/resilience/kept-answer.ts';

interface Kept {
  request: KeyedRequest;
  attemptId: string;
  begunAtMs: number;
  leaseUntilMs: number;
  expiresAtMs: number;
  answer?: KeptAnswer;
}

/** Answers kept by one process, each for `ttlMs` from when it was given; `clearExpired` gives back how many went. */
export function createAnswersInMemory({
  clock,
  newId,
  ttlMs,
}: {
  clock: Clock;
  newId: NewId;
  ttlMs: number;
}): KeptAnswers & { clearExpired(): number } {
  if (!(ttlMs > 0)) throw new RangeError(`ttlMs must be > 0, not ${ttlMs}`);
  const all = new Map<string, Kept>();
  const nameOf = (principal: string, key: string) => JSON.stringify([principal, key]);

  /** What is there still: an expired answer is nobody's, and so is a request whose owner was gone for so long. */
  function find(name: string, nowMs: number): Kept | undefined {
    const kept = all.get(name);
    const isOver =
      kept !== undefined && kept.expiresAtMs <= nowMs && (kept.answer || kept.leaseUntilMs < nowMs);
    return isOver ? undefined : kept;
  }

  function unanswered({ request, attemptId }: Undertaking): Kept | undefined {
    const kept = all.get(nameOf(request.principal, request.key));
    return kept?.attemptId === attemptId && kept.answer === undefined ? kept : undefined;
  }

  return {
    async begin(request, leaseMs) {
      const nowMs = clock.nowMs();
      const name = nameOf(request.principal, request.key);
      const kept = find(name, nowMs);
      if (kept !== undefined) {
        if (kept.request.fingerprint !== request.fingerprint) return { type: 'other_request' };
        if (kept.answer !== undefined) return { type: 'done', answer: kept.answer };
        if (kept.leaseUntilMs >= nowMs) return { type: 'under_way', sinceMs: kept.begunAtMs };
      }
      const attemptId = newId();
      all.set(name, {
        request,
        attemptId,
        begunAtMs: nowMs,
        leaseUntilMs: nowMs + leaseMs,
        expiresAtMs: nowMs + Math.max(ttlMs, leaseMs),
      });
      return { type: 'begun', undertaking: { request, attemptId } };
    },
    async renew(undertaking, leaseMs) {
      const kept = unanswered(undertaking);
      if (kept === undefined) return false;
      kept.leaseUntilMs = clock.nowMs() + leaseMs;
      kept.expiresAtMs = clock.nowMs() + Math.max(ttlMs, leaseMs);
      return true;
    },
    async keep(undertaking, answer) {
      const kept = unanswered(undertaking);
      if (kept === undefined) return false;
      kept.answer = answer;
      kept.expiresAtMs = clock.nowMs() + ttlMs;
      return true;
    },
    async forget(undertaking) {
      if (unanswered(undertaking)) all.delete(nameOf(undertaking.request.principal, undertaking.request.key));
    },
    async find(principal, key) {
      const kept = find(nameOf(principal, key), clock.nowMs());
      return kept && { answer: kept.answer };
    },
    clearExpired() {
      const nowMs = clock.nowMs();
      const over = [...all.keys()].filter((name) => find(name, nowMs) === undefined);
      for (const name of over) all.delete(name);
      return over.length;
    },
  };
}
