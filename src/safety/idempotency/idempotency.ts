import { hash, randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../clock.ts';
import { assertNever, BrokerError } from '../../domain/errors.ts';
import type { KeptAnswers, Undertaking } from '../../domain/resilience/kept-answer.ts';
import { canonicalJson } from '../effects/effect-key.ts';
import { createAnswersInMemory } from './answers-in-memory.ts';

export interface ProcessOptions {
  /** What is asked for, JSON: the same key with something else is refused. */
  request?: unknown;
  signal?: AbortSignal;
}

/** Carries a request out once for each key, and answers its repetitions with what the first was answered. */
export interface Idempotency {
  /**
   * `work`'s result, which must be JSON; a repetition gets the kept one, and `replayed`. What `work` throws is not kept: the
   * request may be sent again. Throws `IDEMPOTENCY_KEY_REUSED` for a key that was used for another request,
   * `IDEMPOTENCY_IN_PROGRESS` (with `retryAfterSeconds`) while the first is under way.
   */
  process<T>(
    key: string,
    work: () => Promise<T>,
    options?: ProcessOptions,
  ): Promise<{ result: T; replayed: boolean }>;
  /** Whether a request with this key was carried out, or is being. */
  isDuplicate(key: string): Promise<boolean>;
  /** What the request was answered; undefined where none was kept. */
  cachedResult(key: string): Promise<unknown>;
  /** Frees what is over, and says how many that were; a table does so by itself. */
  clearExpired(): number;
  /** Requests that this process has carried out; repetitions do not count. */
  readonly operations: number;
}

export interface IdempotencyOptions {
  /** Where answers are kept; in memory unless given. */
  answers?: KeptAnswers & { clearExpired?(): number };
  /** How long an answer is kept in memory, milliseconds; a day unless given. */
  ttlMs?: number;
  clock?: Clock;
  /** Whose keys they are: another's key of the same text is another key. */
  principal?: string;
}

const TTL_MS = 86_400_000;
/** How long a crashed owner blocks its key; a living one renews it at a third. */
const LEASE_MS = 30_000;
/** It says that there is a result, and what. */
const DONE = 200;

/** Throws a `RangeError` for a time that is not > 0. */
export function createIdempotency(options: IdempotencyOptions = {}): Idempotency {
  const { ttlMs = TTL_MS, clock = systemClock, principal = 'application' } = options;
  const { answers = createAnswersInMemory({ clock, newId: randomUUID, ttlMs }) } = options;
  let operations = 0;

  async function carryOut<T>(undertaking: Undertaking, work: () => Promise<T>): Promise<T> {
    const stopRenewing = keepRenewing(answers, undertaking, LEASE_MS);
    try {
      const result = await work().catch(async (error: unknown) => {
        await answers.forget(undertaking).catch(() => undefined);
        throw error;
      });
      operations++;
      // It is done: neither a store that does not take the answer, nor one that is no JSON, must make it look undone.
      const answer = { status: DONE, headers: {}, body: jsonOf(result) };
      await answers.keep(undertaking, answer).catch(() => false);
      return result;
    } finally {
      stopRenewing();
    }
  }

  return {
    async process<T>(key: string, work: () => Promise<T>, { request = null, signal }: ProcessOptions = {}) {
      const fingerprint = hash('sha256', canonicalJson(request));
      const keyed = { principal, key, fingerprint, operation: 'process' };
      const beginning = await answers.begin(keyed, LEASE_MS, signal);
      switch (beginning.type) {
        case 'begun':
          return { result: await carryOut(beginning.undertaking, work), replayed: false };
        case 'done':
          return { result: asKept<T>(beginning.answer.body), replayed: true };
        case 'other_request':
          throw keyReused();
        case 'under_way':
          throw keyInProgress((clock.nowMs() - beginning.sinceMs) / 1000);
        default:
          return assertNever(beginning);
      }
    },
    isDuplicate: async (key) => (await answers.find(principal, key)) !== undefined,
    async cachedResult(key) {
      const found = await answers.find(principal, key);
      return found?.answer && asKept(found.answer.body);
    },
    clearExpired: () => answers.clearExpired?.() ?? 0,
    get operations() {
      return operations;
    },
  };
}

/** Renews an undertaking at a third of its time until the function it returns is called. */
export function keepRenewing(
  answers: Pick<KeptAnswers, 'renew'>,
  undertaking: Undertaking,
  leaseMs: number,
  onError: (error: unknown) => void = () => undefined,
): () => void {
  const timer = setInterval(() => void answers.renew(undertaking, leaseMs).catch(onError), leaseMs / 3);
  return () => clearInterval(timer);
}

/** A repetition is told to come back after as long as the first has taken so far, seconds. */
const RETRY_AFTER_SECONDS = { min: 1, max: 30 };

export const keyReused = (): BrokerError =>
  new BrokerError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for another request.');

/** @param forSeconds how long the first has been under way */
export function keyInProgress(forSeconds: number): BrokerError {
  const { min, max } = RETRY_AFTER_SECONDS;
  return new BrokerError('IDEMPOTENCY_IN_PROGRESS', 'A request with this Idempotency-Key is under way.', {
    retryAfterSeconds: Math.min(max, Math.max(min, Math.ceil(forSeconds))),
  });
}

function jsonOf(result: unknown): string | undefined {
  try {
    return JSON.stringify(result);
  } catch {
    return undefined;
  }
}

/** What was kept under a key is what `work` gave for that key: the type is the caller's own promise. */
const asKept = <T>(body: string | undefined): T => (body === undefined ? undefined : JSON.parse(body)) as T;
