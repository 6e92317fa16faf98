import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  type Answer,
  type BrokerProcess,
  listAll,
  PROCESS_TIMES,
  tally,
} from '../support/broker/broker-process.ts';
import { killAll, launchReplicas, replicaFor } from '../support/broker/broker-replicas.ts';
import { describeOnEngines, describeOnFastEngine } from '../support/store/engines.ts';

vi.setConfig(PROCESS_TIMES);

/*
 * Every storm goes over several replicas on one table. All calls of a storm are sent before the first one is answered,
 * and callers take turns at the replicas, which are processes where it is about the crowd. `npm run bench` has storms of a
 * thousand.
 */
const REPLICAS = 4;
const NONE_FREE = '409 NO_SANDBOXES_AVAILABLE';

interface Caller {
  holder: string;
  headers?: Record<string, string>;
}

const storm = (replicas: readonly BrokerProcess[], callers: readonly Caller[]): Promise<Answer[]> =>
  Promise.all(
    callers.map(({ holder, headers }, index) => replicaFor(replicas, index).allocate(holder, headers)),
  );

const callersOf = (count: number, storm: string): Caller[] =>
  Array.from({ length: count }, (_, index) => ({ holder: `${storm}-${index}` }));

const sandboxesOf = (answers: readonly Answer[]): string[] =>
  answers.filter(({ status }) => status <= 201).map(({ json }) => String(json.sandbox_id));

const distinct = (values: readonly string[]): number => new Set(values).size;

/** What the callers were told is what the table says, and no sandbox was promised to two of them. */
async function expectOneHolderEach(
  replica: BrokerProcess,
  callers: readonly Caller[],
  answers: readonly Answer[],
): Promise<void> {
  const told = answers.flatMap(({ status, json }, index) =>
    status === 201 ? [`${json.sandbox_id} for ${callers[index]?.holder}`] : [],
  );
  expect(distinct(told.map((each) => each.split(' ')[0] ?? ''))).toBe(told.length);
  const leased = await listAll(replica, 'status=allocated');
  const recorded = leased.map((each) => `${each.sandbox_id} for ${each['allocated_to_track']}`);
  expect(recorded).toEqual(expect.arrayContaining(told));
}

const countFree = async (replica: BrokerProcess): Promise<number> =>
  (await listAll(replica, 'status=available')).length;

/** Replicas for a suite; its tests use up the pool one after the other. */
function replicasFor(endpoint: string, poolSize: number, inside: boolean): BrokerProcess[] {
  const replicas: BrokerProcess[] = [];
  beforeAll(async () => {
    const env = { DDB_BUCKETS: '16' };
    replicas.push(...(await launchReplicas({ endpoint, count: REPLICAS, poolSize, env, inside })));
  });
  afterAll(() => killAll(replicas));
  return replicas;
}

describeOnEngines('a storm over four replicas', ({ name, endpoint }) => {
  const isFast = name === 'dynoxide';
  // DynamoDB Local is there for its semantics, not for the crowd.
  const size = isFast ? { sameKey: 200, keys: 80, exact: 300 } : { sameKey: 40, keys: 20, exact: 60 };
  const replicas = replicasFor(endpoint, 1 + size.keys + size.exact, !isFast);

  test('calls with one key at once get one sandbox', async () => {
    const callers = Array.from({ length: size.sameKey }, () => ({ holder: 'the-only-one' }));
    const answers = await storm(replicas, callers);
    expect(tally(answers)).toEqual({ 201: 1, 200: size.sameKey - 1 });
    expect(distinct(sandboxesOf(answers))).toBe(1);
    await expectOneHolderEach(replicas[0]!, callers, answers);
    expect(await countFree(replicas[1]!)).toBe(size.keys + size.exact);
  });

  test('no key is split, of many that each ask every replica at once', async () => {
    const callers = callersOf(size.keys, 'key').flatMap((caller) =>
      Array.from({ length: REPLICAS }, () => caller),
    );
    const answers = await storm(replicas, callers);
    expect(tally(answers)).toEqual({ 201: size.keys, 200: size.keys * (REPLICAS - 1) });
    for (let first = 0; first < answers.length; first += REPLICAS) {
      expect(distinct(sandboxesOf(answers.slice(first, first + REPLICAS)))).toBe(1);
    }
    await expectOneHolderEach(replicas[0]!, callers, answers);
    expect(await countFree(replicas[1]!)).toBe(size.exact);
  });

  test('exactly as many callers as free sandboxes: each gets one', async () => {
    const callers = callersOf(size.exact, 'exact');
    const answers = await storm(replicas, callers);
    expect(tally(answers)).toEqual({ 201: size.exact });
    await expectOneHolderEach(replicas[0]!, callers, answers);
    expect(await countFree(replicas[1]!)).toBe(0);
  });

  if (!isFast) return;

  /** Takes sandboxes from their holders until `wanted` are free. */
  async function makeFree(wanted: number): Promise<void> {
    const [operated] = replicas as [BrokerProcess];
    const leased = await listAll(operated, 'status=allocated');
    await Promise.all(
      leased
        .slice(0, wanted)
        .map(({ sandbox_id }) => operated.admin('POST', `/v1/admin/sandboxes/${sandbox_id}/release`)),
    );
    const { status, json } = await operated.admin('POST', '/v1/admin/cleanup');
    expect([status, json['recycled']]).toEqual([200, wanted]);
  }

  test.for([
    { callers: 200, free: 100 },
    { callers: 300, free: 5 },
    { callers: 50, free: 1 },
    { callers: 50, free: 1 },
  ])(
    '$callers callers, $free free: as many get one, the others are told that there is none',
    async ({ callers, free }, { task }) => {
      await makeFree(free);
      const rivals = callersOf(callers, task.id);
      const answers = await storm(replicas, rivals);
      expect(tally(answers)).toEqual({ 201: free, [NONE_FREE]: callers - free });
      await expectOneHolderEach(replicas[0]!, rivals, answers);
      expect(await countFree(replicas[1]!)).toBe(0);
    },
  );
});

describeOnFastEngine('name prefixes with one match in a pool of 2,000', ({ endpoint }) => {
  const replicas = replicasFor(endpoint, 2_000, true);
  const wanting = (holder: string, prefix: string): Caller => ({
    holder,
    headers: { 'x-sandbox-name-prefix': prefix },
  });
  const namesOf = (answers: readonly Answer[]) => answers.flatMap(({ json }) => json['name'] ?? []);

  test('40 callers for one match: one gets it', async () => {
    const rivals = Array.from({ length: 40 }, (_, index) => wanting(`rival-${index}`, 'lab-1321'));
    const answers = await storm(replicas, rivals);
    expect(tally(answers)).toEqual({ 201: 1, [NONE_FREE]: rivals.length - 1 });
    expect(namesOf(answers)).toEqual(['lab-1321']);
  });

  test('80 callers for 80 matches: each gets its own', async () => {
    const names = Array.from({ length: 80 }, (_, index) => `lab-${1_000 + index * 10}`);
    const answers = await storm(
      replicas,
      names.map((name) => wanting(`of-${name}`, name)),
    );
    expect(namesOf(answers)).toEqual(names);
  });

  test('a prefix without a match finds none, whatever else is free', async () => {
    const callers = ['lab-9', 'LAB-1', 'ab-1', 'lab-13210'].map((prefix) => wanting(`of-${prefix}`, prefix));
    expect(tally(await storm(replicas, callers))).toEqual({ [NONE_FREE]: callers.length });
  });
});
