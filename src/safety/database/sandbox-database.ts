import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../clock.ts';
import { shuttingDown } from '../../domain/errors.ts';
import type { AnyJobRequest, JobReads, JobStore } from '../../domain/job.ts';
import type { BreakerStore } from '../../domain/resilience/breaker.ts';
import type { EffectRecords } from '../../domain/resilience/effect.ts';
import type { KeptAnswers } from '../../domain/resilience/kept-answer.ts';
import type { QuotaStore } from '../../domain/resilience/quota.ts';
import { createBreakersInMemory } from '../breaker/breakers-in-memory.ts';
import { createEffectsInMemory } from '../effects/effects-in-memory.ts';
import { createAnswersInMemory } from '../idempotency/answers-in-memory.ts';
import { createQuotasInMemory } from '../quota/quotas-in-memory.ts';
import { createJobsInMemory } from '../worker/jobs-in-memory.ts';

/**
 * Where the systems keep what they know: `memory` of this process; an `embedded` engine, in a file or not; any `endpoint`
 * that speaks DynamoDB's protocol; or AWS, with the default chain of credentials.
 */
export type DatabaseChoice =
  | 'memory'
  | 'embedded'
  | { kind: 'embedded'; file?: string; table?: string }
  | {
      kind: 'endpoint';
      url: string;
      table?: string;
      region?: string;
      credentials?: { accessKeyId: string; secretAccessKey: string };
    }
  | { kind: 'aws'; region: string; table?: string };

/** What each system takes as its store. */
export interface DatabaseRecords {
  /** For a governor. */
  quotas: QuotaStore;
  /** For side effects. */
  effects: EffectRecords;
  /** For breakers. */
  breakers: BreakerStore;
  /** For idempotency. */
  answers: KeptAnswers & { clearExpired?(): number };
  /** For a worker of tasks. */
  queue: { jobs: JobStore<AnyJobRequest, unknown>; reads: JobReads<AnyJobRequest, unknown> };
}

export interface SandboxDatabase extends DatabaseRecords, AsyncDisposable {
  readonly kind: 'memory' | 'embedded' | 'endpoint' | 'aws';
  /** Whether it answers. */
  check(signal?: AbortSignal): Promise<boolean>;
  /** Work that a clean-up awaits. Rejects with `SHUTTING_DOWN` once that has begun. */
  session<T>(work: (records: DatabaseRecords) => Promise<T>): Promise<T>;
  /** Awaits the sessions and lets go of sockets and processes. Idempotent. */
  cleanup(): Promise<void>;
}

export interface DatabaseOptions {
  clock?: Clock;
  /** How long answers are kept for idempotency, milliseconds; a day unless given. */
  answersTtlMs?: number;
  /** Ends the attempt to open. */
  signal?: AbortSignal;
}

const DAY_MS = 86_400_000;

/** Opens the database; the AWS SDK is loaded for all but `memory`. Throws what says how to mend it when there is none. */
export async function openSandboxDatabase(
  choice: DatabaseChoice = 'memory',
  options: DatabaseOptions = {},
): Promise<SandboxDatabase> {
  const { clock = systemClock, answersTtlMs = DAY_MS, signal } = options;
  if (choice === 'memory') {
    const records: DatabaseRecords = {
      quotas: createQuotasInMemory(clock),
      effects: createEffectsInMemory({ clock, newId: randomUUID }),
      breakers: createBreakersInMemory(),
      answers: createAnswersInMemory({ clock, newId: randomUUID, ttlMs: answersTtlMs }),
      queue: createJobsInMemory({ clock, newId: randomUUID }),
    };
    return sandboxDatabase('memory', records, { check: async () => true, end: async () => undefined });
  }
  const table = choice === 'embedded' ? { kind: choice } : choice;
  const { openTableRecords } = await import('../dynamodb.ts');
  const { records, check, end } = await openTableRecords(table, { clock, answersTtlMs, signal });
  return sandboxDatabase(table.kind, records, { check, end });
}

function sandboxDatabase(
  kind: SandboxDatabase['kind'],
  records: DatabaseRecords,
  { check, end }: { check: (signal?: AbortSignal) => Promise<boolean>; end: () => Promise<void> },
): SandboxDatabase {
  const sessions = new Set<Promise<unknown>>();
  let ending: Promise<void> | undefined;
  const cleanup = () => {
    ending ??= Promise.allSettled(sessions).then(end);
    return ending;
  };
  return {
    ...records,
    kind,
    check,
    async session(work) {
      if (ending !== undefined) throw shuttingDown();
      const session = work(records).finally(() => sessions.delete(session));
      sessions.add(session);
      return await session;
    },
    cleanup,
    [Symbol.asyncDispose]: cleanup,
  };
}
