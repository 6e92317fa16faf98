import { randomUUID } from 'node:crypto';
import {
  type AnswerBody,
  type BrokerProcess,
  launchBroker,
  listAll,
} from '../support/broker/broker-process.ts';
import { killAll, replicaFor } from '../support/broker/broker-replicas.ts';
import { account, type FakeCsp, startFakeCsp, uuidOf } from '../support/provider/fake-csp.ts';
import { until } from '../support/until.ts';
import { arrives, countsOf, type Finding, finding, kindOf } from './drill.ts';

export interface StormOptions {
  endpoint: string;
  replicas: number;
  /** Sandboxes that are given back into the storm: many more than open the breaker. */
  marked: number;
  /** Allocations that are asked for while it lasts. */
  allocations: number;
}

interface Setting {
  csp: FakeCsp;
  /** What the provider calls an account, by what the brokers call the sandbox. */
  uuids: ReadonlyMap<string, string>;
  brokers: readonly BrokerProcess[];
  first: BrokerProcess;
  id: string;
}

const CSP_TOKEN = 'csp-token';
const WITHIN_MS = 30_000;
const QUIET_WINDOWS = 3;
/**
 * Of all deletes, in blocks: so many fail that all of the five under way at once run out of their eight attempts, and
 * the breaker opens.
 */
const BLOCK = { failing: 80, working: 20 };
const BLOCKS = 40;
/**
 * With 3 × 7 retries before the breaker opens there are more than the 10 of a spike on one side of a window's end,
 * wherever that falls.
 */
const QUICK = {
  RETRY_MAX_RETRIES: '7',
  RETRY_BASE_DELAY_SEC: '0.01',
  RETRY_MULTIPLIER: '1',
  RETRY_SPIKE_WINDOW_SEC: '1',
  BREAKER_FAILURES: '3',
  BREAKER_OPEN_SEC: '1',
  // One refusal parks: the next attempt is an operator's, and not a minute away.
  DELETION_RETRY_MAX_ATTEMPTS: '1',
  SYNC_INTERVAL_SEC: '3600',
};

/** The provider fails most deletes; the brokers suspend, tell, go on with the rest, and come back. */
export async function storm(options: StormOptions): Promise<Finding[]> {
  const { marked, allocations } = options;
  const csp = await startFakeCsp({ token: CSP_TOKEN });
  const accounts = csp.add(...Array.from({ length: marked + allocations }, () => account()));
  const uuids = new Map(accounts.map((each) => [String(each.csp_id), uuidOf(each)]));
  const brokers: BrokerProcess[] = [];
  try {
    const first = await launchAll(options, csp, brokers);
    const setting: Setting = { csp, uuids, brokers, first, id: randomUUID() };
    const leases = await allocate(setting, 'used', marked);
    const used = leases.map(({ json }) => String(json.sandbox_id));
    await Promise.all(brokers.map(quietWindows));

    strike(csp);
    const marks = await Promise.all(
      used.map((sandboxId, n) => replicaFor(brokers, n).mark(sandboxId, holderOf(setting, 'used', n))),
    );
    const findings = [
      finding(
        'whatever the provider does, sandboxes can be given back',
        marks.every(({ status }) => status === 200),
        countsOf(marks.map(kindOf)),
      ),
      await alerted(setting, 'the breaker of deletes opens', 'breaker_opened'),
      await alerted(setting, 'the spike of retries is seen', 'retry_spike'),
    ];
    const taken = await allocate(setting, 'storm', allocations);
    findings.push(
      finding(
        'allocation goes on meanwhile',
        taken.every(({ status }) => status === 201),
        countsOf(taken.map(kindOf)),
      ),
    );
    const failed = csp.calls.filter(({ operation }) => operation === 'delete').length;
    csp.faults.clear();
    findings.push(...(await recovered(setting, used, failed)));
    findings.push(
      ...deletedOnce(
        setting,
        used,
        taken.map(({ json }) => String(json.sandbox_id)),
      ),
    );
    return findings;
  } finally {
    await killAll(brokers);
    await csp.close();
  }
}

/** They take turns at the cleanup: all have the same interval, or the longest would hold the turn. */
async function launchAll(
  { endpoint, replicas, marked, allocations }: StormOptions,
  csp: FakeCsp,
  brokers: BrokerProcess[],
): Promise<BrokerProcess> {
  const shared = {
    DDB_ENDPOINT_URL: endpoint,
    DDB_TABLE_NAME: `Chaos-${randomUUID()}`,
    CSP_BASE_URL: csp.baseUrl,
    CSP_API_TOKEN: CSP_TOKEN,
    ...QUICK,
  };
  const first = await launchBroker({ env: { ...shared, CLEANUP_INTERVAL_SEC: '0.3' } });
  brokers.push(first);
  await first.logged('the first sync', ({ created }) => created === marked + allocations, WITHIN_MS);
  for (let n = 1; n < replicas; n += 1) {
    brokers.push(await launchBroker({ env: { ...shared, CLEANUP_INTERVAL_SEC: '0.3' } }));
  }
  return first;
}

const holderOf = ({ id }: Setting, purpose: string, n: number): string => `${purpose}-${id}-${n}`;

const allocate = (setting: Setting, purpose: string, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, n) =>
      replicaFor(setting.brokers, n).allocate(holderOf(setting, purpose, n)),
    ),
  );

/** Four of five fail, before they have an effect or, the first of each block, after it. */
function strike({ faults }: FakeCsp): void {
  const failure = { kind: 'respond', status: 500 } as const;
  for (let n = 0; n < BLOCKS; n += 1) {
    faults.add('delete', { ...failure, afterEffect: true });
    faults.add('delete', failure, { times: BLOCK.failing - 1 });
    faults.add('delete', { kind: 'slow', delayMs: 0 }, { times: BLOCK.working });
  }
}

const comes = (what: string, check: () => Promise<boolean>): Promise<boolean> =>
  until(check, { timeoutMs: WITHIN_MS, what });

/** What is usual must be known before anything can be far more than that. */
const quietWindows = (broker: BrokerProcess) =>
  comes('quiet windows', async () => {
    const { json } = await broker.admin('GET', '/v1/admin/retries');
    return Number((json['spike'] as AnswerBody)['completed_windows']) >= QUIET_WINDOWS;
  });

async function stateOf(broker: BrokerProcess): Promise<unknown> {
  const { json } = await broker.admin('GET', '/v1/admin/breakers');
  return (json['breakers'] as AnswerBody[]).find((each) => each['name'] === 'csp_delete')?.['state'];
}

/** It is open for a second, too short to be seen by everyone who looks: the alert stays. One replica does the work. */
const alerted = ({ brokers }: Setting, promised: string, reason: string): Promise<Finding> =>
  arrives(promised, () =>
    comes(`an alert: ${reason}`, async () => {
      const answers = await Promise.all(brokers.map((broker) => broker.admin('GET', '/v1/admin/alerts')));
      return answers.some(({ json }) =>
        (json['alerts'] as AnswerBody[]).some((alert) => alert['reason'] === reason),
      );
    }),
  );

/** What was parked is an operator's to try again; all else the brokers do by themselves. */
async function recovered({ first }: Setting, used: readonly string[], failed: number): Promise<Finding[]> {
  const pending = async () => (await listAll(first, 'status=pending_deletion')).length;
  const emptyQueue = () => comes('an empty queue', async () => (await pending()) === 0);
  const drained = await arrives('what waited for the breaker is deleted by itself', emptyQueue);
  const parked = await listAll(first, 'status=deletion_failed');
  const retried = await Promise.all(
    parked.map((each) => first.admin('POST', `/v1/admin/sandboxes/${each.sandbox_id}/retry-deletion`)),
  );
  await emptyQueue().catch(() => undefined);
  // Where the last failure opened it with nothing left to delete, it took one of these to find the provider well again.
  const closed = await arrives('the breaker closes by itself once deletes work again', () =>
    comes('a closed breaker', async () => (await stateOf(first)) === 'closed'),
  );
  const statuses = await Promise.all(
    used.map(async (id) => {
      const { json } = await first.admin('GET', `/v1/admin/sandboxes/${id}`);
      return String((json['sandbox'] as AnswerBody | undefined)?.['status'] ?? json['status']);
    }),
  );
  const gone = statuses.every((status) => status === 'deleted');
  return [
    drained,
    finding(
      'what was parked can be tried again, where it was not deleted meanwhile',
      retried.every(({ status, json }) => status === 200 || isDeleted(json)),
      `${countsOf(retried.map(kindOf))} after ${failed} calls of the storm`,
    ),
    closed,
    finding('every sandbox that was given back ends deleted', gone, countsOf(statuses)),
  ];
}

/** A refusal by a sandbox that the brokers have deleted by themselves since it was looked at. */
const isDeleted = ({ error }: AnswerBody): boolean =>
  error?.code === 'INVALID_STATE' && error.message.includes('deleted');

function deletedOnce({ csp, uuids }: Setting, used: readonly string[], taken: readonly string[]): Finding[] {
  const effective = (id: string) => csp.deletes.get(uuids.get(id) ?? '')?.effective ?? 0;
  const times = used.map(effective);
  const lost = taken.filter((id) => csp.deletes.has(uuids.get(id) ?? ''));
  return [
    finding(
      'no account is deleted twice, and none forgotten',
      times.every((count) => count === 1),
      `effective deletes of each: ${countsOf(times)}`,
    ),
    finding(
      'no delete is ever sent for a sandbox that is leased',
      lost.length === 0 && taken.length > 0,
      `${lost.length} of ${taken.length}`,
    ),
  ];
}
