import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import type { EngineKind } from '../../src/store/engine/binaries.ts';
import { startEngine } from '../../src/store/engine/engine.ts';
import { createLineStore } from '../../src/store/line/line.ts';
import { LOCAL_CREDENTIALS, uniqueTable } from '../support/broker/core.ts';
import { fastClock, fastClockEnv } from '../support/broker/fast-clock.ts';
import { checkHistory } from '../support/history/check-history.ts';
import type { Violation } from '../support/history/history.ts';
import { readEnd } from '../support/history/read-end.ts';
import { createRecorder } from '../support/history/recorder.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { until } from '../support/until.ts';
import { type BrokerCrew, startBrokerCrew } from './broker-crew.ts';
import { startLineCallers } from './line-callers.ts';
import { troubleEngine } from './storm-troubles.ts';
import { startWatch } from './storm-watch.ts';

export interface LineStormOptions {
  engine: EngineKind;
  /** Callers who wait; a tenth as many vanish. */
  callers: number;
  sandboxes: number;
  replicas: number;
  /** How long a call waits, seconds. */
  waitSeconds: number;
  /** The brokers' clock against the real one: by a rate of 10 who has vanished has lost its place after 5 s and not 50. */
  clockRate: number;
  /** Replicas that are killed, one after the other, and started again; and how often the engine is. */
  kills: number;
  engineKills: number;
  /** Decides what callers and killers do, though not how the machine interleaves it. */
  seed: number;
}

export interface LineStormReport {
  violations: Violation[];
  /** Patient callers who have not been served, or more than once. */
  wronged: string[];
  /** Places that are there at the end, though nobody calls any more. */
  placesLeft: number;
  /** Answers by kind. */
  kinds: Record<string, number>;
  kills: number;
  engineKills: number;
  /** Leases that nobody came for, and that went to the next. */
  passedOn: number;
  /** From the first call to the last sandbox given back, seconds. */
  seconds: number;
}

const BUCKETS = 4;
/** By the brokers' clocks: ahead of the true time, and behind it. */
const SKEWS_MS = [0, 5_000, -5_000];
const PATIENCE_SECONDS = 40;
const CLAIM_SECONDS = 10;
const LEASE_SECONDS = 3_600;
const SERVED_WITHIN_MS = 3_000_000;
const CLEAN_EVERY_MS = 20;
const EMPTY_WITHIN_MS = 30_000;

const QUICK = {
  LAB_DURATION_HOURS: String(LEASE_SECONDS / 3_600),
  EXPIRY_BUFFER_HOURS: '0',
  LINE_PATIENCE_SEC: String(PATIENCE_SECONDS),
  LINE_CLAIM_SEC: String(CLAIM_SECONDS),
  CLEANUP_INTERVAL_SEC: '0.2',
  AUTO_EXPIRY_INTERVAL_SEC: '1',
  CLEANUP_CONCURRENCY: '10',
  DELETE_MAY_RUN_SEC: '30',
  SANDBOX_CSP_DELETE_LIMIT: '1000000',
  SANDBOX_API_LIMIT: '1000000',
};

/**
 * Many callers wait for few sandboxes that are recycled at once, over replicas whose clocks are seconds apart, and which
 * are killed, as the engine is. When everybody was served and the line is empty, the whole history is judged.
 */
export async function lineStorm(options: LineStormOptions): Promise<LineStormReport> {
  await using cleanups = new AsyncDisposableStack();
  const random = seededRandom(options.seed);
  const originMs = Date.now();
  const clock = fastClock(options.clockRate, originMs);
  const recorder = createRecorder({ now: clock });
  const storm = new AbortController();

  const folder = await mkdtemp(join(tmpdir(), 'broker-line-'));
  cleanups.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const file = join(folder, 'pool.db');
  const engine = await startEngine({ file, kind: options.engine });
  cleanups.defer(() => engine.stop());
  const table = uniqueTable();
  const client = createStoreClient({
    endpoint: engine.endpoint,
    table,
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
  });
  cleanups.defer(() => client.close());
  const line = createLineStore(client, () => undefined);

  const crew = await startBrokerCrew({
    count: options.replicas,
    env: {
      ...QUICK,
      DDB_ENDPOINT_URL: engine.endpoint,
      DDB_TABLE_NAME: table,
      DDB_BUCKETS: String(BUCKETS),
      SIMULATED_POOL_SIZE: String(options.sandboxes),
    },
    envOf: (number) => fastClockEnv(options.clockRate, originMs, SKEWS_MS[number % SKEWS_MS.length]),
  });
  cleanups.defer(() => crew.end());
  const watch = startWatch(client, BUCKETS, clock);
  cleanups.defer(() => watch.stop());
  await until(() => watch.records().length === options.sandboxes, {
    timeoutMs: 30_000,
    what: 'the first sync',
  });

  const startedMs = performance.now();
  const callers = startLineCallers({
    recorder,
    living: crew.living,
    random: random.fork(),
    patient: options.callers,
    vanishing: Math.ceil(options.callers / 10),
    pushing: 2,
    waitSeconds: options.waitSeconds,
  });
  cleanups.defer(() => callers.stop());
  const cleaning = cleanAllTheTime(crew, storm.signal);
  cleanups.defer(async () => {
    storm.abort();
    await cleaning;
  });

  /** When so many parts of all have been served. */
  const at = (part: number) =>
    until(() => storm.signal.aborted || callers.served >= part * options.callers, {
      timeoutMs: SERVED_WITHIN_MS,
      what: `${Math.round(part * 100)} % of the callers are served`,
    });
  const killReplicas = async () => {
    for (let kill = 1; kill <= options.kills; kill++) {
      await at(kill / (options.kills + 1));
      if (!storm.signal.aborted) crew.killOne(random);
    }
  };
  const killEngine = async () => {
    let killed = 0;
    for (let kill = 1; kill <= options.engineKills; kill++) {
      await at((kill - 0.5) / (options.engineKills + 0.5));
      const troubles = [{ kind: 'kill' }] as const;
      killed += await troubleEngine({
        engine,
        file,
        troubles,
        seconds: 0,
        noted: () => undefined,
        signal: storm.signal,
      });
    }
    return killed;
  };
  const troubles = Promise.all([killReplicas(), killEngine()]);
  await Promise.all([at(1), callers.done, troubles]);
  const seconds = (performance.now() - startedMs) / 1000;
  const [, engineKills] = await troubles;
  await callers.stop();
  storm.abort();
  const isEmpty = async () => (await line.page({})).places.length === 0;
  await until(isEmpty, { timeoutMs: EMPTY_WITHIN_MS, what: 'an empty line' }).catch(() => undefined);
  await watch.stop();
  await crew.end();

  const end = await readEnd(client);
  const granted = Map.groupBy(
    end.events.filter(({ action }) => action === 'allocate' || action === 'pass_on'),
    ({ holder = '' }) => holder,
  );
  const leasesOf = (holder: string) =>
    (granted.get(holder) ?? []).reduce((sum, { action }) => sum + (action === 'allocate' ? 1 : -1), 0);
  const patient = Array.from({ length: options.callers }, (_, index) => `patient-${index}`);
  return {
    violations: checkHistory({
      ...end,
      calls: recorder.calls,
      asOfMs: clock(),
      // Those who take back have other clocks than those who grant.
      termMs: LEASE_SECONDS * 1000 - 2 * MAX_SKEW_MS,
      expectedIds: watch.records().map(({ id }) => id),
      observations: watch.observations,
      clockSkewMs: MAX_SKEW_MS,
      patienceMs: PATIENCE_SECONDS * 1000,
    }),
    wronged: patient.filter((holder) => leasesOf(holder) !== 1),
    placesLeft: end.places?.length ?? 0,
    kinds: Object.fromEntries([...callers.kinds].sort()),
    kills: crew.kills,
    engineKills,
    passedOn: end.events.filter(({ action }) => action === 'pass_on').length,
    seconds,
  };
}

/** What is given back is clean at once, whoever cleans it. */
async function cleanAllTheTime(crew: BrokerCrew, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const living = crew.living();
    const broker = living[turn % living.length];
    await broker?.admin('POST', '/v1/admin/cleanup').catch(() => undefined);
    await delay(CLEAN_EVERY_MS);
  }
}

/** With what passes between reading the clock and the write. */
const MAX_SKEW_MS = 6_000;
