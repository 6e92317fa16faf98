import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ADMIN_TOKEN, type Answer, type BrokerProcess } from '../support/broker/broker-process.ts';
import { killAll, launchReplicas, replicaFor } from '../support/broker/broker-replicas.ts';
import { until } from '../support/until.ts';
import { countsOf, type Finding, finding, kindOf } from './drill.ts';

export interface RetryRaceOptions {
  endpoint: string;
  /** At least 2: retries rarely come back to the replica that had the first. */
  replicas: number;
  /** How often each pattern is run, each time with a fresh key. */
  rounds: number;
}

/** How clients repeat themselves: so many calls at once, so often, so far apart. */
const PATTERNS = [
  { name: '5 at once', bursts: 1, size: 5 },
  { name: '3 at 500 ms', bursts: 3, size: 1 },
  { name: '3 bursts of 3', bursts: 3, size: 3 },
] as const;
type Pattern = (typeof PATTERNS)[number];

const GAP_MS = 500;
const SETTLED_WITHIN_MS = 20_000;

/** The same request several times over several replicas: one effect, told to all of them. */
export async function retryRace({ endpoint, replicas, rounds }: RetryRaceOptions): Promise<Finding[]> {
  if (replicas < 2) throw new RangeError(`replicas must be >= 2, not ${replicas}`);
  const brokers = await launchReplicas({
    endpoint,
    count: replicas,
    poolSize: PATTERNS.length * rounds + 5,
    env: { SYNC_INTERVAL_SEC: '3600', CLEANUP_INTERVAL_SEC: '3600', AUTO_EXPIRY_INTERVAL_SEC: '3600' },
  });
  try {
    const findings: Finding[] = [];
    for (const pattern of PATTERNS) {
      for (let round = 0; round < rounds; round += 1) {
        findings.push(await allocations(brokers, pattern), await submissions(brokers, pattern));
      }
    }
    return findings;
  } finally {
    await killAll(brokers);
  }
}

/** All calls of the pattern; the callers take turns at the replicas. */
async function race(
  brokers: readonly BrokerProcess[],
  { bursts, size }: Pattern,
  send: (broker: BrokerProcess) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Promise<Answer>[] = [];
  for (let burst = 0; burst < bursts; burst += 1) {
    if (burst > 0) await delay(GAP_MS);
    for (let n = 0; n < size; n += 1) answers.push(send(replicaFor(brokers, answers.length)));
  }
  return Promise.all(answers);
}

async function allocations(brokers: readonly BrokerProcess[], pattern: Pattern): Promise<Finding> {
  const holder = `race-${randomUUID()}`;
  const key = randomUUID();
  const answers = await race(brokers, pattern, (broker) =>
    broker.allocate(holder, { 'idempotency-key': key }),
  );
  const sandboxes = new Set(answers.map(({ json }) => json.sandbox_id));
  const created = answers.filter(({ status }) => status === 201);
  const replayed = answers.filter(
    ({ status, headers }) => status === 200 && headers['idempotency-replayed'] === 'true',
  );
  const once = created.length === 1 && replayed.length === answers.length - 1 && sandboxes.size === 1;
  return finding(
    `allocate, ${pattern.name}: one lease, the others are told of it`,
    once,
    `${countsOf(answers.map(kindOf))}; sandboxes: ${sandboxes.size}`,
  );
}

/** A job for each execution, so that the queue tells how many there were. */
async function submissions(brokers: readonly BrokerProcess[], pattern: Pattern): Promise<Finding> {
  const headers = {
    authorization: `Bearer ${ADMIN_TOKEN}`,
    'content-type': 'application/json',
    'idempotency-key': randomUUID(),
  };
  const refusals: string[] = [];
  /** As a client does it: told that the first is under way, it asks again. */
  const send = (broker: BrokerProcess): Promise<Answer> =>
    until(
      async () => {
        const answer = await broker.call('POST', '/v1/admin/jobs', { headers, body: '{"type":"expire"}' });
        if (answer.status !== 409) return answer;
        refusals.push(kindOf(answer));
        return undefined;
      },
      { timeoutMs: SETTLED_WITHIN_MS, what: 'the first of the requests is over' },
    );
  const before = await jobIds(brokers);
  const answers = await race(brokers, pattern, send);
  const added = [...(await jobIds(brokers))].filter((id) => !before.has(id));
  const told = new Set(answers.map(({ json }) => json['job_id']));
  const replayed = answers.filter((answer) => answer.headers['idempotency-replayed'] === 'true');
  const once =
    answers.every(({ status }) => status === 202) &&
    replayed.length === answers.length - 1 &&
    added.length === 1 &&
    told.size === 1 &&
    told.has(added[0]) &&
    refusals.every((kind) => kind === '409 IDEMPOTENCY_IN_PROGRESS');
  return finding(
    `an operator's write, ${pattern.name}: one execution, the others are replays`,
    once,
    `${countsOf(answers.map(kindOf))}; replays: ${replayed.length}; jobs: ${added.length}; ` +
      `told to wait: ${countsOf(refusals)}`,
  );
}

async function jobIds([broker]: readonly BrokerProcess[]): Promise<Set<unknown>> {
  const answer = await broker?.admin('GET', '/v1/admin/jobs?limit=100');
  const jobs = (answer?.json['jobs'] ?? []) as { job_id: string }[];
  return new Set(jobs.map((job) => job.job_id));
}
