import { randomUUID } from 'node:crypto';
import { onTestFinished, vi } from 'vitest';
import type { AppDeps } from '../../../src/app.ts';
import type { KeyedOutcome } from '../../../src/domain/resilience/kept-answer.ts';
import { createIdempotencyCounts } from '../../../src/live/idempotency-counts.ts';
import type { RunCounts, Runs } from '../../../src/loops/run.ts';
import { createKeptAnswers } from '../../../src/store/shared/kept-answers.ts';
import { openTable } from '../../../src/store/table.ts';
import {
  createCountingClient,
  createFakeClock,
  type FakeClock,
  uniqueTable,
} from '../../support/broker/core.ts';
import { fakeAppDeps } from '../../support/broker/fake-app-deps.ts';
import { asAdmin, startApp, type TestApp } from '../../support/broker/http-app.ts';
import { until } from '../../support/until.ts';

/** How long an answer is kept. */
export const TTL_SECONDS = 3_600;

/** Work of an operator's request: counted, and held until the test lets it end. */
export function heldRun(counts: RunCounts = { created: 1 }) {
  const waiting: ((error?: unknown) => void)[] = [];
  let begun = 0;
  const run = async () => {
    begun++;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.push((error) => (error === undefined ? resolve() : reject(error)));
    await promise;
    return { counts, durationMs: 5 };
  };
  return {
    run,
    begun: () => begun,
    waiting: () => until(() => waiting.length > 0, { what: 'the run began' }),
    end: async (error?: unknown) => {
      await until(() => waiting.length > 0, { what: 'the run began' });
      waiting.shift()?.(error);
    },
  };
}

/** The app with real records of what was carried out. */
export async function start(
  endpoint: string,
  overrides: Partial<AppDeps> = {},
  on: { table: string; clock: FakeClock } = { table: uniqueTable(), clock: createFakeClock() },
) {
  const { client, calls } = createCountingClient(endpoint, on.table);
  onTestFinished(async () => client.close());
  await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
  calls.clear();
  const outcomes: KeyedOutcome[] = [];
  const ttlMs = TTL_SECONDS * 1000;
  const app = await startApp({
    clock: on.clock,
    idempotency: {
      answers: createKeptAnswers(client, {
        clock: on.clock,
        newId: randomUUID,
        replicaId: randomUUID(),
        ttlMs,
      }),
      observe: (outcome) => outcomes.push(outcome),
      counts: createIdempotencyCounts(),
    },
    ...overrides,
  });
  return { ...app, ...on, client, storeCalls: calls, outcomes };
}

/** What an operator can have run, with a sync of the test's own. */
export const runsWith = (sync: Runs['sync']): Runs => ({ ...fakeAppDeps().deps.runs, sync });

/** Runs whose sync is counted, and ends with that answer. */
export const counted = (answer: () => Promise<RunCounts> | RunCounts) => {
  const run = vi.fn(async () => ({ counts: await answer(), durationMs: 5 }));
  return { run, runs: runsWith(run) };
};

/** Sends an operator's request with a key. */
export const send = (
  app: TestApp,
  path = 'sync',
  key = 'key-1',
  more: Record<string, string> = {},
  body?: string,
) =>
  app.call('POST', `/v1/admin/${path}`, {
    headers: asAdmin({ 'idempotency-key': key, ...more }),
    ...(body !== undefined && { body }),
  });

/** The header of a request with a JSON body. */
export const JSON_TYPE = { 'content-type': 'application/json' };
