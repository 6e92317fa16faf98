import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { startEngine } from '../../src/store/engine/engine.ts';
import { LOCAL_CREDENTIALS, uniqueTable } from '../support/broker/core.ts';
import { fastClock, fastClockEnv } from '../support/broker/fast-clock.ts';
import { checkHistory } from '../support/history/check-history.ts';
import type { ProviderDelete, ProviderListing, Violation } from '../support/history/history.ts';
import { readEnd } from '../support/history/read-end.ts';
import { createRecorder } from '../support/history/recorder.ts';
import { account, startFakeCsp, uuidOf } from '../support/provider/fake-csp.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { until } from '../support/until.ts';
import { startBrokerCrew } from './broker-crew.ts';
import { startStormClients } from './storm-clients.ts';
import {
  type EngineTrouble,
  startRenewing,
  troubleAllDeletes,
  troubleEngine,
  troubleNetwork,
  troubleProvider,
} from './storm-troubles.ts';
import { startWatch } from './storm-watch.ts';

export interface KillStormOptions {
  /** How long it lasts, seconds; coming to rest afterwards takes about half a minute more. */
  seconds: number;
  /** Decides what clients, killers and faults do, though not how the machine interleaves it. */
  seed: number;
  /** Replicas that are killed and started again. */
  brokers: number;
  /** What befalls the engine, in this order. */
  engine: readonly EngineTrouble[];
  /** Some sandboxes cannot be deleted while it lasts, and at times none can. */
  sickProvider?: boolean;
}

export interface KillStormReport {
  seed: number;
  violations: Violation[];
  /** Sandboxes that were not available again, by themselves, when everything had been quiet for long enough. */
  unsettled: string[];
  /** Answers by kind. */
  kinds: Record<string, number>;
  /** How often brokers and the engine were killed, and how much was done meanwhile. */
  brokerKills: number;
  engineTroubles: number;
  /** How often the provider refused every delete. */
  outages: number;
  /** Events by action. */
  actions: Record<string, number>;
  providerEffects: number;
  settledAfterMs: number;
}

const POOL = 60;
const CLIENTS = 8;
const BUCKETS = 4;
const CSP_TOKEN = 'csp-token';
/** The brokers' clock against the real one: a dead replica's claim of 75 s is over after 7.5. */
const CLOCK_RATE = 10;
const LEASE_SECONDS = 15;
const BUFFER_SECONDS = 5;
/** A claim outlasts the last moment at which its delete may be sent by this, `DELETE_MAY_RUN_SEC`. */
const MAY_RUN_SECONDS = 30;
const TAKEOVER_MS = MAY_RUN_SECONDS * 1_000;
/** On a busy machine brokers take their time to start, and there is less to kill. */
const LEAST_KILLS_WITHIN_MS = 40_000;
const LISTED_WITHIN_MS = 30_000;
/** A claim, twice what clocks may differ by before a deleted sandbox is gone and then back, and the loops in between. */
const SETTLED_WITHIN_MS = 90_000;

const NAMES = ['red', 'green', 'blue'];

/**
 * Brokers on one durable engine behind a faulty network, whose processes are killed all the time, and the engine is
 * killed or frozen, while clients lease and give back and a provider makes new ones of what was deleted, with failures
 * of its own. Then everything is left alone until it has come to rest, and the whole history is judged.
 */
export async function killStorm(options: KillStormOptions): Promise<KillStormReport> {
  const { seconds, seed, brokers } = options;
  await using cleanups = new AsyncDisposableStack();
  const random = seededRandom(seed);
  const originMs = Date.now();
  const clock = fastClock(CLOCK_RATE, originMs);
  const recorder = createRecorder({ now: clock });
  const storm = new AbortController();

  const folder = await mkdtemp(join(tmpdir(), 'broker-storm-'));
  cleanups.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const file = join(folder, 'pool.db');
  const engine = await startEngine({ file });
  cleanups.defer(() => engine.stop());
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(engine.endpoint).port) });
  cleanups.defer(() => proxy.close());

  const deletes: ProviderDelete[] = [];
  const listings: ProviderListing[] = [];
  const idByUuid = new Map<string, string>();
  const csp = await startFakeCsp({
    token: CSP_TOKEN,
    onDelete: (uuid, outcome, told) => {
      deletes.push({ sandboxId: idByUuid.get(uuid) ?? uuid, atMs: clock(), outcome, told });
    },
    onList: (uuids) => {
      const has = new Set(uuids.map((uuid) => idByUuid.get(uuid) ?? uuid));
      listings.push({ startMs: clock(), endMs: clock(), has });
    },
  });
  cleanups.defer(() => csp.close());
  csp.settings.nowMs = clock;
  for (let n = 0; n < POOL; n++) {
    const [added] = csp.add(account({ name: `${NAMES[n % NAMES.length]}-${n}` }));
    if (added) idByUuid.set(uuidOf(added), String(added.csp_id));
  }

  const table = uniqueTable();
  const client = createStoreClient({
    endpoint: engine.endpoint,
    table,
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
  });
  cleanups.defer(() => client.close());
  const crew = await startBrokerCrew({
    count: brokers,
    env: {
      DDB_ENDPOINT_URL: proxy.endpoint,
      DDB_TABLE_NAME: table,
      DDB_BUCKETS: String(BUCKETS),
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: CSP_TOKEN,
      ...QUICK,
      ...fastClockEnv(CLOCK_RATE, originMs),
    },
  });
  cleanups.defer(() => crew.end());
  const watch = startWatch(client, BUCKETS, clock);
  cleanups.defer(() => watch.stop());
  const isListed = () => watch.records().length === POOL;
  await until(isListed, { timeoutMs: LISTED_WITHIN_MS, what: 'the first sync' });

  // The watch may lag behind: what it saw before the last delete says nothing of the time after it.
  const deletedAtMs = (sandboxId: string) =>
    deletes.findLast((each) => each.sandboxId === sandboxId && each.outcome === 'deleted')?.atMs ?? 0;
  const renewing = startRenewing(csp, random.fork(), (sandboxId) => {
    const seen = watch.records().find(({ id }) => id === sandboxId);
    return seen?.status === 'deleted' && (seen.seenGoneMs ?? 0) > deletedAtMs(sandboxId);
  });
  cleanups.defer(renewing.stop);

  const clients = startStormClients({
    recorder,
    living: crew.living,
    random: random.fork(),
    count: CLIENTS,
    namePrefixes: NAMES,
  });
  cleanups.defer(async () => {
    storm.abort();
    await clients.stop();
  });
  const interruptionsMs: number[] = [];
  const noted = () => void interruptionsMs.push(clock());
  const engineTroubled = troubleEngine({
    engine,
    file,
    troubles: options.engine,
    seconds,
    noted,
    signal: storm.signal,
  });
  const troubles = Promise.all([
    crew.killAtRandom(random.fork(), noted, storm.signal),
    engineTroubled,
    options.sickProvider ? troubleAllDeletes(csp, random.fork(), storm.signal) : 0,
    troubleNetwork(proxy, random.fork(), storm.signal),
    troubleProvider(csp, random.fork(), storm.signal),
  ]);
  const time = delay(seconds * 1000);
  const limit = { timeoutMs: seconds * 1000 + LEAST_KILLS_WITHIN_MS, what: 'brokers that are killed' };
  // A trouble that fails is the end of it.
  const enough = until(() => crew.kills > brokers, limit);
  await Promise.race([Promise.all([time, enough, engineTroubled]), troubles]);
  storm.abort();
  const [, engineTroubles, outages] = await troubles;
  csp.faults.clear();
  await clients.stop();

  const startedMs = performance.now();
  const isSettled = () => isListed() && unsettledOf(watch.records()).length === 0;
  await until(isSettled, { timeoutMs: SETTLED_WITHIN_MS, what: 'rest' }).catch(() => undefined);
  const settledAfterMs = Math.round(performance.now() - startedMs);
  await watch.stop();
  await crew.end();

  const end = await readEnd(client);
  const violations = checkHistory({
    ...end,
    calls: recorder.calls,
    asOfMs: clock(),
    termMs: (LEASE_SECONDS + BUFFER_SECONDS) * 1000,
    expectedIds: [...idByUuid.values()],
    deletes,
    listings,
    observations: watch.observations,
    clockSkewMs: 0,
    interruptionsMs,
    takeoverMs: TAKEOVER_MS,
  });
  return {
    seed,
    violations,
    unsettled: unsettledOf(end.sandboxes),
    kinds: Object.fromEntries([...clients.kinds].sort()),
    brokerKills: crew.kills,
    engineTroubles,
    outages,
    actions: countsBy(end.events.map(({ action }) => action)),
    providerEffects: deletes.filter(({ outcome }) => outcome === 'deleted').length,
    settledAfterMs,
  };
}

/** Four brokers, and an engine that dies twice. */
export const KILLS = { brokers: 4, engine: [{ kind: 'kill' }, { kind: 'kill' }] } as const;

/** Three brokers, an engine that freezes for long and dies in between, and a provider that is not well. */
export const freezes = (seconds: number) =>
  ({
    brokers: 3,
    engine: [
      { kind: 'freeze', forMs: Math.min(5_000, (seconds * 1000) / 12) },
      { kind: 'kill' },
      { kind: 'freeze', forMs: Math.min(20_000, (seconds * 1000) / 3) },
    ],
    sickProvider: true,
  }) as const;

const QUICK = {
  LAB_DURATION_HOURS: String(LEASE_SECONDS / 3600),
  EXPIRY_BUFFER_HOURS: String(BUFFER_SECONDS / 3600),
  ALLOCATE_DEADLINE_MS: '3000',
  SYNC_INTERVAL_SEC: '0.5',
  CLEANUP_INTERVAL_SEC: '0.3',
  AUTO_EXPIRY_INTERVAL_SEC: '0.3',
  CLEANUP_CONCURRENCY: '10',
  // Nothing is parked for an operator: nobody helps.
  DELETION_RETRY_MAX_ATTEMPTS: '100',
  RETRY_BASE_DELAY_SEC: '0.05',
  BREAKER_OPEN_SEC: '5',
  DELETE_MAY_RUN_SEC: String(MAY_RUN_SECONDS),
  SANDBOX_CSP_DELETE_LIMIT: '1000000',
  SANDBOX_API_LIMIT: '1000000',
};

const unsettledOf = (sandboxes: readonly Sandbox[]): string[] =>
  sandboxes.filter(({ status }) => status !== 'available').map(({ id, status }) => `${id} is ${status}`);

const countsBy = (names: readonly string[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));
