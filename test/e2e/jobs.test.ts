import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type AnswerBody, type BrokerProcess, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { killAll, launchReplicas } from '../support/broker/broker-replicas.ts';
import { fastClockEnv } from '../support/broker/fast-clock.ts';
import { account, type FakeCsp, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const CSP_TOKEN = 'csp-token-nobody-may-see';
const ACCOUNTS = 3;
/** A claim, a turn and a key outlive a killed replica by this much. */
const LEASE_MS = 30_000;
/** How much faster than time itself the clock runs by which a killed replica is waited for. */
const CLOCK_RATE = 10;

interface Pair {
  csp: FakeCsp;
  one: BrokerProcess;
  other: BrokerProcess;
  replicas: BrokerProcess[];
}

/**
 * Two replicas on one table, and the CSP that both ask; the first runs of their loops are over. Whoever launches them
 * ends them.
 */
async function launchPair(
  endpoint: string,
  { env = {}, inside }: { env?: Record<string, string>; inside: boolean },
): Promise<Pair & { end: () => Promise<void> }> {
  const csp = await startFakeCsp({ token: CSP_TOKEN });
  for (let made = 0; made < ACCOUNTS; made++) csp.add(account());
  const replicas = await launchReplicas({
    endpoint,
    inside,
    count: 2,
    poolSize: ACCOUNTS,
    env: {
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: CSP_TOKEN,
      SANDBOX_WORKER_INTERVAL: '0.2',
      // Whoever waits here asks a hundred times a second.
      SANDBOX_API_LIMIT: '1000000',
      ...env,
    },
  });
  const [one, other] = replicas;
  if (!one || !other) throw new Error('no pair');
  const end = async () => {
    await killAll(replicas);
    await csp.close();
  };
  return { csp, one, other, replicas, end };
}

const listsOf = ({ csp }: Pair) => csp.calls.filter(({ operation }) => operation === 'list');

/** Keeps the next list or delete from being answered until it is released. */
function hold(csp: FakeCsp, operation: 'list' | 'delete'): () => void {
  const { promise: until_, resolve } = Promise.withResolvers<void>();
  csp.faults.add(operation, { kind: 'hold', until: until_ });
  onTestFinished(() => resolve());
  return resolve;
}

const submit = (broker: BrokerProcess, body: object, headers: Record<string, string> = {}) =>
  broker.call('POST', '/v1/admin/jobs', {
    headers: {
      authorization: 'Bearer dev-admin-token',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(body),
  });

const jobOf = async (broker: BrokerProcess, id: unknown): Promise<AnswerBody> =>
  (await broker.admin('GET', `/v1/admin/jobs/${id}`)).json;

async function ended(broker: BrokerProcess, id: unknown, timeoutMs = 15_000): Promise<AnswerBody> {
  const isOver = async () => ['completed', 'failed'].includes(String((await jobOf(broker, id))['status']));
  await until(isOver, { timeoutMs, what: `${id} ended` });
  return jobOf(broker, id);
}

/** Begins a sync as a job that does not get on, and tells who runs it and who could. */
async function beginSync(pair: Pair) {
  const listed = listsOf(pair).length;
  const release = hold(pair.csp, 'list');
  const { status, json } = await submit(pair.one, { type: 'sync' }, { 'x-correlation-id': 'ticket-4711' });
  expect(status).toBe(202);
  await pair.csp.arrived('list', listed + 1);
  const job = await jobOf(pair.other, json['job_id']);
  expect(job).toMatchObject({ status: 'running', attempts: 1, correlation_id: 'ticket-4711' });
  const runner = pair.replicas.find(({ logs }) => logs.some(({ replica }) => replica === job['worker']));
  const idle = pair.replicas.find((each) => each !== runner);
  if (!runner || !idle) throw new Error(`nobody is ${job['worker']}`);
  return { id: String(json['job_id']), runner, idle, release };
}

describeOnFastEngine('jobs over two replicas', ({ endpoint }) => {
  let pair: Awaited<ReturnType<typeof launchPair>>;
  beforeAll(async () => {
    pair = await launchPair(endpoint, { inside: true });
  });
  afterAll(() => pair.end());

  test('a job waits for the run that is under way, and its turn comes', async () => {
    const listed = listsOf(pair).length;
    const release = hold(pair.csp, 'list');
    const run = pair.one.admin('POST', '/v1/admin/sync');
    await pair.csp.arrived('list', listed + 1);
    const { json } = await submit(pair.other, { type: 'sync', options: { force: true } });
    await until(async () => (await jobOf(pair.one, json['job_id']))['not_before'] !== undefined, {
      what: 'the job was told to wait',
    });
    release();
    expect((await run).status).toBe(200);
    const job = await ended(pair.one, json['job_id']);
    expect(job).toMatchObject({ status: 'completed', attempts: 1, options: { force: true } });
  });

  test('ten requests with one key over both are carried out once, and a job is submitted once', async () => {
    const listed = listsOf(pair).length;
    const release = hold(pair.csp, 'list');
    const keyed = { 'idempotency-key': 'key-1' };
    const ten = Array.from({ length: 10 }, (_, index) =>
      (index % 2 === 0 ? pair.one : pair.other).admin('POST', '/v1/admin/sync', keyed),
    );
    let refused = 0;
    for (const each of ten) void each.then(({ status }) => (refused += status === 409 ? 1 : 0));
    await until(() => refused === 9, { what: 'nine are told to wait' });
    release();
    const answers = await Promise.all(ten);
    const [done] = answers.filter(({ status }) => status === 200);
    expect(answers.filter(({ status }) => status === 409).map(({ json }) => json.error?.code)).toEqual(
      Array.from({ length: 9 }, () => 'IDEMPOTENCY_IN_PROGRESS'),
    );
    for (const each of pair.replicas) {
      const again = await each.admin('POST', '/v1/admin/sync', keyed);
      expect([again.status, again.text]).toEqual([200, done?.text]);
      expect(again.headers['idempotency-replayed']).toBe('true');
    }
    expect(listsOf(pair)).toHaveLength(listed + 1);

    const submissions = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        submit(index % 2 === 0 ? pair.one : pair.other, { type: 'expire' }, { 'idempotency-key': 'key-2' }),
      ),
    );
    const accepted = submissions.filter(({ status }) => status === 202);
    expect(accepted.length).toBeGreaterThan(0);
    expect(submissions.every(({ status }) => status === 202 || status === 409)).toBe(true);
    expect(new Set(accepted.map(({ json }) => json['job_id'])).size).toBe(1);
    const { json: list } = await pair.one.admin('GET', '/v1/admin/jobs?type=expire');
    expect(list['count']).toBe(1);
  });

  test('a job is seen from its submission to its end, in the metrics, too', async () => {
    const answer = await pair.one.admin('POST', '/v1/admin/auto-delete-stale?grace_period_hours=1', {
      prefer: 'respond-async',
    });
    expect([answer.status, answer.headers['preference-applied']]).toEqual([202, 'respond-async']);
    const { json: found } = await pair.other.admin('GET', String(answer.headers['location']));
    expect(found).toMatchObject({ job_id: answer.json['job_id'], options: { grace_period_hours: 1 } });
    const job = await ended(pair.other, answer.json['job_id']);
    expect(job).toMatchObject({ type: 'purge', status: 'completed', result: { deleted: 0 } });
    expect((await pair.one.admin('GET', '/v1/admin/jobs/job-0')).json.error?.code).toBe('JOB_NOT_FOUND');

    // The store knows of the end before the metrics of the replica that ran it do.
    const sumOf = async (name: string) => {
      const samples = await Promise.all(pair.replicas.map((each) => each.metrics()));
      return samples.reduce((total, each) => total + (each[name] ?? 0), 0);
    };
    await expect.poll(() => sumOf('broker_jobs_total{type="purge",outcome="completed"}')).toBe(1);
    await expect.poll(() => sumOf('broker_job_start_delay_seconds_count{type="purge"}')).toBe(1);
    await expect.poll(() => pair.one.metrics()).toHaveProperty('broker_job_queue_length', 0);

    for (const type of ['sync', 'cleanup', 'expire']) {
      await ended(pair.one, (await submit(pair.one, { type })).json['job_id']);
    }
    const page = (await pair.other.admin('GET', '/v1/admin/jobs?status=completed&limit=3')).json;
    expect((page['jobs'] as AnswerBody[]).map(({ type }) => type)).toEqual(['expire', 'cleanup', 'sync']);
    const rest = (
      await pair.other.admin('GET', `/v1/admin/jobs?status=completed&limit=3&cursor=${page['cursor']}`)
    ).json;
    expect((rest['jobs'] as AnswerBody[])[0]).toMatchObject({ type: 'purge' });
    const alien = await pair.other.admin('GET', `/v1/admin/jobs?limit=3&cursor=${page['cursor']}`);
    expect([alien.status, alien.json.error?.code]).toEqual([400, 'INVALID_CURSOR']);
  });

  // The last one: half of the pair is gone after it.
  test('a replica that is told to end puts its job back, and another takes it at once', async () => {
    const { id, runner, idle } = await beginSync(pair);
    const startedMs = performance.now();
    expect(await runner.stop('SIGTERM')).toMatchObject({ code: 0 });
    expect(await ended(idle, id)).toMatchObject({ status: 'completed', attempts: 1 });
    expect(performance.now() - startedMs).toBeLessThan(LEASE_MS / 2);
    expect(runner.logs.filter(({ job_id }) => job_id === id)).toMatchObject([
      { outcome: 'interrupted', job_id: id, correlation_id: 'ticket-4711', request_id: id },
    ]);
    // The run was told to stop: nothing failed.
    expect(runner.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describeOnFastEngine('a process that is killed', ({ endpoint }) => {
  test(
    'leaves nothing that another does not finish: neither its job nor the request that had a key',
    async () => {
      // What a killed replica leaves lapses by the wall clock.
      const pair = await launchPair(endpoint, {
        env: fastClockEnv(CLOCK_RATE, Date.now()),
        inside: false,
      });
      onTestFinished(pair.end);
      const { id, runner, idle } = await beginSync(pair);
      const { json: lease } = await runner.allocate('student');
      await runner.mark(String(lease.sandbox_id), 'student');
      hold(pair.csp, 'delete');
      const keyed = { 'idempotency-key': 'key-1' };
      const lost = runner.admin('POST', '/v1/admin/cleanup', keyed).catch(() => undefined);
      await pair.csp.arrived('delete', 1);
      await runner.kill9();
      await lost;

      const early = await idle.admin('POST', '/v1/admin/cleanup', keyed);
      expect([early.status, early.json.error?.code]).toEqual([409, 'IDEMPOTENCY_IN_PROGRESS']);
      const job = await ended(idle, id, LEASE_MS);
      expect(job).toMatchObject({ status: 'completed', attempts: 2, result: { listed: ACCOUNTS } });
      expect(
        listsOf(pair)
          .map(({ correlationId }) => correlationId)
          .slice(-2),
      ).toEqual(['ticket-4711', 'ticket-4711']);
      let again = await idle.admin('POST', '/v1/admin/cleanup', keyed);
      const isFree = async () => {
        again = await idle.admin('POST', '/v1/admin/cleanup', keyed);
        return again.status === 200;
      };
      if (again.status !== 200) await until(isFree, { timeoutMs: 15_000, what: 'the key is free again' });
      expect(again.headers['idempotency-replayed']).toBeUndefined();
    },
    PROCESS_TIMES.testTimeout,
  );
});
