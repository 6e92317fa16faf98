import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type BrokerProcess, listAll } from '../support/broker/broker-process.ts';
import { killAll, launchReplicas } from '../support/broker/broker-replicas.ts';
import { type FaultProxy, startFaultProxy } from '../support/store/fault-proxy.ts';
import { until } from '../support/until.ts';
import { arrives, countsOf, type Finding, finding } from './drill.ts';
import { startTraffic, type Traffic, watchHealth } from './traffic.ts';

export interface StoreKilledOptions {
  /** The engine, which stays alive: what dies is the way to it. */
  endpoint: string;
  replicas: number;
  /** More than the callers can lease meanwhile. */
  poolSize: number;
  lanes: number;
  /** Committed transactions whose answers are lost. */
  swallowed: number;
  /** How long the store refuses connections, milliseconds. */
  outageMs: number;
  /** How often it goes away for a moment afterwards. */
  cuts: number;
}

/** The store's own limit of 10 s, and what a busy machine adds. */
const ANSWERED_WITHIN_MS = 13_000;
const RECOVERED_WITHIN_MS = 20_000;
const PACE_MS = 100;
/** Each lane calls once or twice in it. */
const MOMENT_MS = 2 * PACE_MS;
const COMMITS = /x-amz-target: *DynamoDB_20120810\.TransactWriteItems/i;

/** The store goes away in the middle of what it does, comes back, and then comes and goes. */
export async function storeKilled(options: StoreKilledOptions): Promise<Finding[]> {
  const { replicas, poolSize, lanes } = options;
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(options.endpoint).port) });
  let brokers: BrokerProcess[] = [];
  try {
    brokers = await launchReplicas({
      endpoint: proxy.endpoint,
      count: replicas,
      poolSize,
      env: {
        ALLOCATE_DEADLINE_MS: '3000',
        CLEANUP_INTERVAL_SEC: '0.5',
        AUTO_EXPIRY_INTERVAL_SEC: '0.5',
        SYNC_INTERVAL_SEC: '3600',
      },
    });
    const endWatch = watchHealth(brokers);
    const traffic = startTraffic({ brokers, id: randomUUID(), lanes, paceMs: PACE_MS });
    const findings: Finding[] = [];
    await until(() => traffic.told.size >= lanes, { timeoutMs: RECOVERED_WITHIN_MS, what: 'leases' });

    findings.push(...(await cut(proxy, brokers, options)));
    await comeAndGo(proxy, options.cuts);
    findings.push(...(await recovered(brokers, 'after it came and went')));
    findings.push(await arrives('every caller gets its answer in the end', () => traffic.stop()));
    findings.push(...(await loopsGoOn(brokers)));
    const health = await endWatch();
    const alive = health.every((each) => each === '200');
    findings.push(finding('/healthz answers 200 all along', alive, countsOf(health)));
    findings.push(...answersKept(traffic), ...(await leasesKept(brokers, traffic)));
    return findings;
  } finally {
    await killAll(brokers);
    await proxy.close();
  }
}

async function cut(
  proxy: FaultProxy,
  brokers: readonly BrokerProcess[],
  { swallowed, outageMs }: StoreKilledOptions,
): Promise<Finding[]> {
  proxy.swallowResponses(swallowed, COMMITS);
  const lost = await arrives(`${swallowed} transactions are committed and their answers lost`, () =>
    until(() => proxy.swallowedResponses >= swallowed, {
      timeoutMs: RECOVERED_WITHIN_MS,
      what: 'commits whose answers are lost',
    }),
  );
  await proxy.behave({ kind: 'refuse' });
  proxy.cutConnections();
  const [notReady] = await Promise.all([
    arrives('/readyz says that nobody is served while the store is away', () =>
      servingIs(brokers, 'refusing'),
    ),
    delay(outageMs),
  ]);
  await proxy.behave({ kind: 'pass' });
  return [lost, notReady, ...(await recovered(brokers, 'after the outage'))];
}

/** Away for a moment, slow for a moment, there for a moment. */
async function comeAndGo(proxy: FaultProxy, cuts: number): Promise<void> {
  for (let n = 0; n < cuts; n += 1) {
    proxy.swallowResponses(1, COMMITS);
    await proxy.behave({ kind: 'refuse' });
    proxy.cutConnections();
    await delay(MOMENT_MS);
    await proxy.behave({ kind: 'delay', delayMs: 20 });
    await delay(MOMENT_MS);
    await proxy.behave({ kind: 'pass' });
    await delay(MOMENT_MS);
  }
  proxy.swallowResponses(0);
}

const servingIs = (brokers: readonly BrokerProcess[], status: 'ready' | 'refusing'): Promise<unknown> =>
  Promise.all(
    brokers.map((broker) =>
      until(async () => (await broker.call('GET', '/readyz')).json['status'] === status, {
        timeoutMs: RECOVERED_WITHIN_MS,
        what: `/readyz says ${status}`,
      }),
    ),
  );

async function recovered(brokers: readonly BrokerProcess[], when: string): Promise<Finding[]> {
  return [await arrives(`/readyz says ready again by itself ${when}`, () => servingIs(brokers, 'ready'))];
}

/** Of cleanup and expiry, by themselves; replicas take turns, so that one success among them all will do. */
async function loopsGoOn(brokers: readonly BrokerProcess[]): Promise<Finding[]> {
  const successes = async (loop: string): Promise<number> => {
    const samples = await Promise.all(brokers.map((broker) => broker.metrics()));
    return samples.reduce((sum, each) => sum + (each[`broker_${loop}_total{outcome="success"}`] ?? 0), 0);
  };
  const findings: Finding[] = [];
  for (const loop of ['cleanup', 'expiry']) {
    const before = await successes(loop);
    const again = async () => (await successes(loop)) > before;
    const limit = { timeoutMs: RECOVERED_WITHIN_MS, what: `a successful run of ${loop}` };
    findings.push(await arrives(`${loop} succeeds again by itself`, () => until(again, limit)));
  }
  const sync = async () => (await brokers[0]?.admin('POST', '/v1/admin/sync'))?.status === 200;
  const limit = { timeoutMs: RECOVERED_WITHIN_MS, what: 'a successful sync' };
  findings.push(await arrives('a sync succeeds again', () => until(sync, limit)));
  return findings;
}

function answersKept({ kinds, violations, slowestMs }: Traffic): Finding[] {
  return [
    finding(
      'callers see leases, 503 with Retry-After, and never a sandbox of somebody else',
      violations.length === 0,
      violations.length === 0 ? countsOf(kinds) : countsOf(violations),
    ),
    finding(
      `every answer comes within ${ANSWERED_WITHIN_MS} ms`,
      slowestMs < ANSWERED_WITHIN_MS,
      `${Math.round(slowestMs)} ms at most`,
    ),
  ];
}

async function leasesKept(
  brokers: readonly BrokerProcess[],
  { told, returned }: Traffic,
): Promise<Finding[]> {
  const [broker] = brokers;
  if (broker === undefined) throw new RangeError('no replicas');
  const wrong: string[] = [];
  for (const [holder, sandboxId] of told) {
    const { status, json } = await broker.allocate(holder);
    if (status !== 200 || json.sandbox_id !== sandboxId)
      wrong.push(`${holder}: ${status} ${json.sandbox_id}`);
  }
  const leased = await listAll(broker, 'status=allocated');
  const holders = leased.map((each) => String(each['allocated_to_track']));
  const sandboxes = leased.map((each) => String(each.sandbox_id));
  const strangers = leased.filter(
    (each) => told.get(String(each['allocated_to_track'])) !== String(each.sandbox_id),
  );
  return [
    finding(
      'every lease that a caller was told of is still its own',
      wrong.length === 0 && told.size > 0,
      wrong.length === 0 ? `${told.size} replayed, ${returned.size} given back` : wrong.join('; '),
    ),
    finding(
      'no key has two sandboxes, and no sandbox two holders',
      new Set(holders).size === leased.length && new Set(sandboxes).size === leased.length,
      `${leased.length} leases, ${new Set(holders).size} holders, ${new Set(sandboxes).size} sandboxes`,
    ),
    finding(
      'nothing is leased but what callers were told of',
      strangers.length === 0 && leased.length === told.size,
      `${leased.length} leases, ${told.size} told, ${strangers.length} unknown`,
    ),
  ];
}
