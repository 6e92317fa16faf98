import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { type Core, composeCore } from '../../src/compose/core.ts';
import { composeResilience } from '../../src/compose/resilience.ts';
import { composeSafety } from '../../src/compose/safety.ts';
import { loadConfig } from '../../src/config/index.ts';
import { createLoop, type LoopOptions } from '../../src/loops/loop.ts';
import type { PurgeOptions, RunNow, SyncOptions } from '../../src/loops/run.ts';
import { createHeartbeat } from '../../src/safety/heartbeat/heartbeat.ts';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { createStoreTime, type StoreTime } from '../../src/store/dynamo/store-time.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { LINE, LOCAL_CREDENTIALS, TERMS } from '../support/broker/core.ts';
import { cancelled, conflicted, connectionReset, refused } from '../support/store/injected-faults.ts';
import type { Boundary } from './boundary.ts';
import type { FarSide } from './far-side.ts';
import type { Refusal } from './faults.ts';
import type { ModelProcess, World } from './world.ts';

/** A broker of the model: everything but HTTP, in a process that may die at any call. */
export interface Replica {
  readonly process: ModelProcess;
  readonly core: Core;
  readonly machine: Machine;
  readonly runs: {
    sync: RunNow<SyncOptions>;
    cleanup: RunNow<object>;
    expire: RunNow<object>;
    purge: RunNow<PurgeOptions>;
  };
}

/** Where replicas run, one after the other: its clock outlives them. */
export interface Machine {
  /** How far its clock is off at all times, milliseconds. */
  readonly skewMs: number;
  /** How far it is off besides, since it jumped. */
  jumpMs: number;
}

/** Few, for a pool of few: a look at all of them is one call each. */
export const BUCKETS = 2;
const DELETE_TIMEOUT_MS = 20_000;
/** So often a delete is refused while others go through before its sandbox is parked. */
export const MAX_ATTEMPTS = 3;
const INTERVAL_MS = 300_000;
const config = loadConfig({ LOG_LEVEL: 'silent' });
const { dryRun, quotas, deleteEvidence } = config;
const QUIET = createLogger({ level: 'silent', pretty: false, destination: { write: () => undefined } });
const UNLIMITED = { ...quotas, bulk_delete: { ...quotas.bulk_delete, maxActions: null } };

/** What is sent to the engine; several replicas of a program share the sockets of one client. */
export type SendToEngine = (command: Parameters<DynamoDBClient['send']>[0]) => Promise<unknown>;

export interface ReplicaOptions {
  world: World;
  process: ModelProcess;
  boundary: Boundary;
  farSide: FarSide;
  send: SendToEngine;
  table: string;
  machine: Machine;
  /** How long after it was cleaned a sandbox is free, milliseconds. */
  cooldownMs: number;
  /** Told of what no fault excuses. */
  onFinding: (message: string) => void;
}

/** Builds a replica, as a start of the broker does. To be called inside its process. */
export function createReplica(options: ReplicaOptions): Replica {
  const { world, process, boundary, farSide, table, machine, onFinding } = options;
  let ids = 0;
  const newId = () => `${process.name}-${++ids}`;
  const clock = { nowMs: () => world.nowMs() + machine.skewMs + machine.jumpMs };
  const time = createStoreTime();
  const httpDate = () => new Date(world.nowMs()).toUTCString();
  // A broker opens its table before anything else.
  time.observe(httpDate(), performance.now(), performance.now());
  const client = createStoreClient({
    endpoint: 'http://127.0.0.1:9',
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
    table,
    time,
  });
  interceptCalls(client.raw, process, boundary, { send: options.send, time, httpDate });
  const alert = () => undefined;
  const { provider, breakers, onParked } = composeResilience({
    config,
    client,
    provider: farSide.reachedBy(process),
    clock,
    newId,
    logger: QUIET,
    metrics: { retryEnded: alert, circuitState: alert },
    alert,
    deleteTimeoutMs: DELETE_TIMEOUT_MS,
    stopping: new AbortController().signal,
  });
  const safety = composeSafety({ client, clock, newId, alert, dryRun, quotas: UNLIMITED });
  const core = composeCore({
    client,
    buckets: BUCKETS,
    provider,
    deleteBreaker: breakers.csp_delete,
    onParked,
    safety,
    clock,
    newId,
    replicaId: process.name,
    terms: TERMS,
    allocateDeadlineMs: 25_000,
    line: LINE,
    // The few callers of a program share them, too.
    grantTransactions: 1,
    cooldownMs: options.cooldownMs,
    syncMaxStaleRatio: 0.5,
    cleanupConcurrency: 3,
    cleanupDelayMs: 0,
    deletionMaxAttempts: MAX_ATTEMPTS,
    deleteTimeoutMs: DELETE_TIMEOUT_MS,
    deleteMayRunMs: 30_000,
    deleteEvidence,
    alert,
    onUnreadable: (sortKey, error) => onFinding(`the record ${String(sortKey)} cannot be read: ${error}`),
    onBackgroundError: () => undefined,
  });
  const runOf = <Options>(loop: Pick<LoopOptions<Options>, 'name' | 'options' | 'work'>): RunNow<Options> =>
    createLoop(
      {
        turns: core.turns,
        clock,
        newId,
        heartbeat: createHeartbeat(),
        report: () => undefined,
        alert,
        correlate: (_ids, work) => work(),
      },
      { ...loop, action: loop.name, intervalMs: INTERVAL_MS },
    ).runNow;
  return {
    process,
    core,
    machine,
    runs: {
      sync: runOf<SyncOptions>({
        name: 'sync',
        options: { force: false },
        work: async (...args) => ({ ...(await core.work.sync(...args)) }),
      }),
      cleanup: runOf<object>({
        name: 'cleanup',
        options: {},
        work: async (_options, ...args) => ({ ...(await core.work.cleanup(...args)) }),
      }),
      expire: runOf<object>({
        name: 'expiry',
        options: {},
        work: async (_options, ...args) => ({ ...(await core.work.expire(...args)) }),
      }),
      purge: runOf<PurgeOptions>({
        name: 'purge',
        options: { gracePeriodHours: 24 },
        work: async (...args) => ({ ...(await core.work.purge(...args)) }),
      }),
    },
  };
}

/** Every call of this client goes over the boundary, and from there to the engine by `send`. */
function interceptCalls(
  raw: DynamoDBClient,
  process: ModelProcess,
  boundary: Boundary,
  { send, time, httpDate }: { send: SendToEngine; time: StoreTime; httpDate: () => string },
): void {
  const intercepted = async (
    command: Parameters<SendToEngine>[0],
    { abortSignal }: { abortSignal?: AbortSignal } = {},
  ) => {
    const sentMs = performance.now();
    let date: string | undefined;
    const answer = await boundary.send(process, {
      to: isOfEffect(command.input) ? 'effects' : 'store',
      perform() {
        date ??= httpDate();
        return send(command);
      },
      signal: abortSignal,
      errorFor: (how) => errorFor(how, command.input),
      givenUp: () => Object.assign(new Error('Request aborted'), { name: 'AbortError' }),
      endsWithCaller: false,
    });
    time.observe(date, sentMs, performance.now());
    return answer;
  };
  Object.assign(raw, { send: intercepted });
}

const isOfEffect = (input: object): boolean =>
  'Key' in input && JSON.stringify(input.Key).includes('"effect:');

function errorFor(how: Refusal, input: object): Error {
  switch (how) {
    case 'reset':
      return connectionReset();
    case 'throttled':
      return refused('ThrottlingException');
    case 'server_error':
      return refused('InternalServerError', 500);
    case 'conflict':
      if ('TransactItems' in input && Array.isArray(input.TransactItems))
        return cancelled(...input.TransactItems.map(() => 'TransactionConflict'));
      // Of what is written alone, nothing but a sandbox is part of others' transactions.
      return 'Item' in input && /"(status|due)_key"/.test(JSON.stringify(input))
        ? conflicted()
        : refused('ThrottlingException');
  }
}
