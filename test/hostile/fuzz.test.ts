import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { inParallel } from '../bench/load.ts';
import { type BrokerProcess, launchBroker, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';
import { type Operation, readOperations } from './api.ts';
import { type HostileRequest, hostileRequest } from './hostile-requests.ts';
import { exchangeProblems } from './judge-answer.ts';
import { exchange, type RawAnswer } from './raw-http.ts';

vi.setConfig(PROCESS_TIMES);

/** `FUZZ_SEED=7 FUZZ_RUNS=5000` hunts elsewhere; a failure prints the seed and the path that replay it. */
const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_121);
const RUNS_PER_OPERATION = Number(process.env['FUZZ_RUNS'] ?? 2);
const REQUESTS_PER_RUN = 8;
/** For one operation, the search for the smallest example of a failure included. */
const LOOK_FOR_MS = 20_000;
const FLOOD_PER_PARAMETER = 10;
const FLOOD_AT_ONCE = 8;

const TOKENS = { track: 'a-track-token-that-nobody-logs', admin: 'an-admin-token-that-nobody-logs' };
const POOL_SIZE = 80;

/** Refusals of what never came as far as an operation. */
const BEFORE_ROUTING = [400, 404, 405, 408, 413, 415, 431];

/** A tenth of what Node would allow itself: what is kept of every request would end the process. */
const HEAP_MIB = 96;
const RESIDENT_GROWTH_MIB = 64;
const SPARE_FILES = 8;

const isNoRun = ({ id, parameters }: Operation): boolean =>
  id !== 'submitJob' && !parameters.some(({ name }) => name === 'Prefer');

describeOnFastEngine('whatever is sent', ({ endpoint }) => {
  let broker: BrokerProcess;
  let operations: Operation[];

  beforeAll(async () => {
    broker = await launchBroker({
      env: {
        BROKER_API_TOKEN: TOKENS.track,
        BROKER_ADMIN_TOKEN: TOKENS.admin,
        DDB_ENDPOINT_URL: endpoint,
        DDB_TABLE_NAME: uniqueTable(),
        DDB_BUCKETS: '4',
        SIMULATED_POOL_SIZE: String(POOL_SIZE),
        // Each made-up client is remembered, as long as there is room.
        TRUST_PROXY: '1',
        LOG_LEVEL: 'debug',
        NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}`,
      },
    });
    await broker.logged('the first sync', ({ created }) => created === POOL_SIZE);
    operations = await readOperations(broker.url);
  });
  afterAll(async () => void (await broker?.kill9()));

  /** What an operator, made up or not, may have switched off. */
  async function switchEverythingOn(): Promise<void> {
    const headers = { authorization: `Bearer ${TOKENS.admin}` };
    const governor = await broker.admin('GET', '/v1/admin/governor');
    for (const { resource } of governor.json['resources'] as { resource: string }[]) {
      await fetch(`${broker.url}/v1/admin/governor/${resource}`, { method: 'DELETE', headers });
    }
    const breakers = await broker.admin('GET', '/v1/admin/breakers');
    for (const { name } of breakers.json['breakers'] as { name: string }[]) {
      await broker.admin('POST', `/v1/admin/breakers/${name}/reset`);
    }
  }

  /** Sends it, and throws unless what comes back is in order. */
  async function attempt(
    operation: Operation,
    { method, bytes, text, isComplete, isOnTarget }: HostileRequest,
  ): Promise<RawAnswer[]> {
    const port = Number(new URL(broker.url).port);
    const given = await exchange(port, { parts: [bytes], methods: [method], halfClose: !isComplete });
    const problems = exchangeProblems(given, [method]);
    // To Node a client that says it sends no more is gone, and a reset may take the answer along.
    if (isComplete && given.answers.length === 0 && given.end === 'closed') problems.push('no answer');
    const known = [...operation.statuses, ...BEFORE_ROUTING];
    for (const { status } of given.answers) {
      if (isOnTarget && !known.includes(status)) problems.push(`${status} is not in the document`);
    }
    if (problems.length > 0) throw new Error(`${operation.id}: ${problems.join('\n')}\nfor\n${text}`);
    return given.answers;
  }

  test('is answered in the form of the API: no 5xx, no hang, no status that the document does not know', async () => {
    expect(operations.length).toBeGreaterThan(30);
    const seen = new Map<number, number>();
    for (const operation of operations) {
      const requests = fc.array(hostileRequest(operation, TOKENS), {
        maxLength: REQUESTS_PER_RUN,
        size: 'max',
      });
      const property = fc.asyncProperty(requests, async (batch) => {
        const answers = await Promise.all(batch.map((request) => attempt(operation, request)));
        for (const { status } of answers.flat()) seen.set(status, (seen.get(status) ?? 0) + 1);
      });
      await fc.assert(property, {
        seed: SEED,
        numRuns: RUNS_PER_OPERATION,
        interruptAfterTimeLimit: LOOK_FOR_MS,
      });
      if (operation.method !== 'GET') await switchEverythingOn();
    }
    // A fuzzer whose every request is turned away at the door proves little, and so does one that nobody turns away.
    const answers = [...seen.values()].reduce((sum, count) => sum + count, 0);
    expect(seen.get(200)).toBeGreaterThan(answers / 10);
    expect(seen.get(400)).toBeGreaterThan(answers / 10);
    expect([...seen.keys()]).toEqual(expect.arrayContaining([401, 404, 405, 415]));
  });

  test('is not kept: memory and sockets stay within bounds over many requests', async () => {
    const residentMiB = async () =>
      ((await broker.metrics())['process_resident_memory_bytes'] ?? 0) / 2 ** 20;
    const openFiles = async () => (await broker.metrics())['process_open_fds'] ?? 0;
    const before = { residentMiB: await residentMiB(), files: await openFiles() };
    // The loops' work costs the same whoever asks for it, and a lot.
    const flood = operations.filter(isNoRun).flatMap((operation) =>
      fc
        .sample(hostileRequest(operation, TOKENS), {
          seed: SEED + 1,
          numRuns: FLOOD_PER_PARAMETER * (1 + operation.parameters.length),
        })
        .map((request) => ({ operation, request })),
    );
    await inParallel(flood, FLOOD_AT_ONCE, ({ operation, request }) => attempt(operation, request));
    const grown = (await residentMiB()) - before.residentMiB;
    expect(grown, 'grown by MiB').toBeLessThan(RESIDENT_GROWTH_MIB);
    await until(async () => (await openFiles()) <= before.files + SPARE_FILES, {
      what: 'the sockets of the flood are closed',
    });
    await switchEverythingOn();
  });

  test('never makes the log tell a secret, or speak of an error', () => {
    expect(broker.logs.length).toBeGreaterThan(700);
    const text = JSON.stringify(broker.logs) + broker.stderr();
    for (const token of Object.values(TOKENS)) expect(text).not.toContain(token);
    expect(broker.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    expect(broker.stderr()).toBe('');
  });

  test('leaves a broker that leases a sandbox to the next who asks', async () => {
    const headers = { authorization: `Bearer ${TOKENS.track}` };
    expect((await broker.allocate('an-honest-lab', headers)).status).toBe(201);
  });
});
