import { randomUUID } from 'node:crypto';
import { beforeEach, onTestFinished } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import {
  createLoop,
  type Loop,
  type LoopDeps,
  type LoopOptions,
  type RunReport,
} from '../../src/loops/loop.ts';
import { createHeartbeat } from '../../src/safety/heartbeat/heartbeat.ts';
import type { StoreClient } from '../../src/store/dynamo/client.ts';
import { createTurns } from '../../src/store/shared/turns.ts';
import { openTable } from '../../src/store/table.ts';
import type { Alert } from '../../src/usecases/alert.ts';
import { createCountingClient, uniqueTable } from '../support/broker/core.ts';
import { injectFaults } from '../support/store/injected-faults.ts';

/** The loops' name, and their turns'. */
export const NAME = 'sync';
/** Longer than any test: between a loop's first run and its next. */
export const AN_HOUR_MS = 3_600_000;
/** Asks for a turn, whether it is due or not. */
export const takeAway = { ttlMs: 60_000, onlyIfDue: false };

interface RunOptions {
  word: string;
}

/** Loops of one name for a suite: every test has a fresh table, and all loops of a test are replicas on it. */
export function loopsOn(endpoint: string) {
  let client: StoreClient;

  beforeEach(async () => {
    client = createCountingClient(endpoint, uniqueTable()).client;
    onTestFinished(() => client.close());
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
  });

  /** A loop on a replica of its own. */
  function make(
    work: LoopOptions<RunOptions>['work'],
    {
      intervalMs = AN_HOUR_MS,
      clock = systemClock,
      comeBack,
      ...more
    }: Partial<LoopDeps> & Partial<Pick<LoopOptions<RunOptions>, 'intervalMs' | 'comeBack'>> = {},
  ) {
    const reports: RunReport[] = [];
    const alerts: Alert[] = [];
    const correlated: { requestId: string; correlationId: string }[] = [];
    const heartbeat = createHeartbeat();
    const loop: Loop<RunOptions> = createLoop(
      {
        turns: createTurns(client, randomUUID(), clock),
        clock,
        newId: randomUUID,
        heartbeat,
        report: (report) => reports.push(report),
        alert: (alert) => alerts.push(alert),
        correlate: (ids, run) => {
          correlated.push(ids);
          return run();
        },
        ...more,
      },
      {
        name: NAME,
        action: 'background_sync',
        intervalMs,
        options: { word: 'loop' },
        work,
        ...(comeBack && { comeBack }),
      },
    );
    onTestFinished(() => loop.stop());
    return { loop, reports, alerts, correlated, heartbeat };
  }

  /** The turns as another replica takes them. */
  const otherTurns = (clock: Clock = systemClock) => createTurns(client, 'another replica', clock);

  return {
    make,
    otherTurns,
    /** Stands between the test's client and its engine. */
    injectFaults: () => injectFaults(client),
  };
}

/** Work that says when it has begun, and ends when it is told to, or when its signal fires. */
export function slowWork() {
  const { promise: begun, resolve: begin } = Promise.withResolvers<AbortSignal>();
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  const work: LoopOptions<RunOptions>['work'] = async (_options, { signal }) => {
    begin(signal);
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    await Promise.race([finished, aborted]);
    return { done: 1 };
  };
  return { work, begun, finish };
}
