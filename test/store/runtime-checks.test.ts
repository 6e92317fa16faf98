import { randomUUID } from 'node:crypto';
import { UpdateTimeToLiveCommand } from '@aws-sdk/client-dynamodb';
import { afterEach, expect, it, onTestFinished } from 'vitest';
import { type RuntimeCheck, worstStatus } from '../../src/domain/runtime-check.ts';
import { createRuntimeChecks } from '../../src/safety/index.ts';
import { createStoreTime } from '../../src/store/dynamo/store-time.ts';
import { untold } from '../../src/store/finding.ts';
import { RUNTIME_CHECK_NAMES, storeChecks } from '../../src/store/runtime-checks.ts';
import { sandboxKey } from '../../src/store/sandboxes/keys.ts';
import { createCountingClient, startCore, type TestCore } from '../support/broker/core.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import { type Fault, injectFaults } from '../support/store/injected-faults.ts';

const BUCKETS = 16;

describeOnEngines('the checks of the store', ({ endpoint }) => {
  const open: TestCore[] = [];
  afterEach(() => {
    for (const core of open.splice(0)) core.close();
  });

  async function start(poolSize = 0, peak = 0) {
    const made = await startCore(endpoint, { poolSize });
    open.push(made);
    const { client } = createCountingClient(endpoint, made.client.table, { time: createStoreTime() });
    onTestFinished(() => client.close());
    const core = { ...made, client };
    core.clock.set(Date.now());
    const check = async () => {
      const deps = {
        client: core.client,
        buckets: BUCKETS,
        clock: core.clock,
        newId: randomUUID,
        peakPerSecond: () => peak,
      };
      const checks = createRuntimeChecks({ checks: storeChecks(deps), onError: untold });
      return await checks.runAll(AbortSignal.timeout(20_000));
    };
    const find = async (name: string): Promise<RuntimeCheck | undefined> =>
      (await check()).find((each) => each.name === name);
    return { core, check, find, faults: injectFaults(core.client) };
  }

  /** Lets the engine's answers say something else. */
  const alter = (change: (answer: Record<string, unknown>) => void): Fault => {
    return async (send) => {
      const answer = await send();
      const { output } = answer as { output: Record<string, unknown> };
      change(output);
      return answer;
    };
  };

  it('find nothing critical in a table as the broker made it, and say what an engine cannot tell', async () => {
    const { core, check } = await start(20);
    const checks = await check();

    expect(checks.map((each) => each.name)).toEqual(RUNTIME_CHECK_NAMES);
    const status = Object.fromEntries(checks.map((each) => [each.name, each.status]));
    expect(status).toEqual({
      schema: 'ok',
      conditional_writes: 'ok',
      multi_region: 'ok',
      ttl: 'ok',
      capacity: 'ok',
      point_in_time_recovery: 'warning',
      deletion_protection: 'warning',
      clock_skew: 'ok',
    });
    expect(worstStatus(checks)).toBe('warning');
    const recovery = checks.find((each) => each.name === 'point_in_time_recovery');
    expect(recovery?.message).toContain('cannot tell');
    expect(
      checks.every((each) => each.message.endsWith('.') || each.message.endsWith('allows the call.')),
    ).toBe(true);
    expect((await core.client.scan({})).items.filter((item) => String(item.pk).startsWith('PROBE#'))).toEqual(
      [],
    );
  });

  it('call a store that does not keep conditions critical', async () => {
    const { core, find } = await start();
    core.client.raw.middlewareStack.add(
      (next) => (args) => {
        Reflect.deleteProperty(args.input, 'ConditionExpression');
        return next(args);
      },
      { step: 'initialize', name: 'forgetConditions' },
    );

    expect(await find('conditional_writes')).toMatchObject({
      status: 'critical',
      details: { first_written: true, second_written: true, read_back: 'second' },
    });
  });

  it.each([
    ['an index is missing', 'critical', { LocalSecondaryIndexes: [] }],
    ['the table is being deleted', 'critical', { TableStatus: 'DELETING' }],
    ['the table is being updated', 'ok', { TableStatus: 'UPDATING' }],
    ['the keys are others', 'critical', { KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }] }],
  ])('notice when %s: %s', async (_what, status, change) => {
    const { find, faults } = await start();
    const fault = alter((answer) => Object.assign(answer.Table as object, change));
    faults.next('DescribeTable', fault, { times: 100 });

    expect(await find('schema')).toMatchObject({ status });
  });

  it.each([
    [
      'eventually consistent regions',
      'error',
      { Replicas: [{ RegionName: 'r1' }], MultiRegionConsistency: 'EVENTUAL' },
    ],
    ['regions of which nothing is said', 'error', { Replicas: [{ RegionName: 'r1' }] }],
    [
      'strongly consistent regions',
      'ok',
      { Replicas: [{ RegionName: 'r1' }], MultiRegionConsistency: 'STRONG' },
    ],
  ])('judge %s: %s', async (_what, status, change) => {
    const { find, faults } = await start();
    const fault = alter((answer) => Object.assign(answer.Table as object, change));
    faults.next('DescribeTable', fault, { times: 100 });

    expect(await find('multi_region')).toMatchObject({ status });
  });

  const provisioned = (read: number, write: number) => ({
    BillingModeSummary: { BillingMode: 'PROVISIONED' },
    ProvisionedThroughput: { ReadCapacityUnits: read, WriteCapacityUnits: write },
  });
  const onDemand = (more: object) => ({ BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' }, ...more });

  it.each([
    [
      'warning',
      provisioned(5_000, 1_000),
      0,
      '1000 write units a second are 83 leases a second, and 100 take 1200',
    ],
    ['ok', provisioned(5_000, 1_200), 0, 'room for 100 leases a second'],
    ['warning', provisioned(5_000, 1_200), 100.5, '101 take 1212'],
    ['warning', provisioned(5, 1_200), 0, 'read units'],
    ['ok', onDemand({}), 1_000, 'on demand'],
    [
      'warning',
      onDemand({ OnDemandThroughput: { MaxWriteRequestUnits: 600 } }),
      0,
      'raise the table’s limit',
    ],
    ['ok', onDemand({ OnDemandThroughput: { MaxWriteRequestUnits: -1 } }), 0, 'on demand'],
    ['warning', onDemand({ WarmThroughput: { WriteUnitsPerSecond: 4_000 } }), 400, 'warm the table up'],
    ['ok', onDemand({ WarmThroughput: { WriteUnitsPerSecond: 4_800 } }), 400, 'on demand'],
  ])('give a %s for %j at %d leases a second', async (status, change, peak, message) => {
    const { find, faults } = await start(0, peak);
    const fault = alter((answer) => Object.assign(answer.Table as object, change));
    faults.next('DescribeTable', fault, { times: 100 });

    expect(await find('capacity')).toMatchObject({ status, message: expect.stringContaining(message) });
  });

  it('see that deletion protection is on', async () => {
    const { find, faults } = await start();
    const fault = alter((answer) =>
      Object.assign(answer.Table as object, { DeletionProtectionEnabled: true }),
    );
    faults.next('DescribeTable', fault, { times: 100 });

    expect(await find('deletion_protection')).toMatchObject({ status: 'ok' });
  });

  it('call a TTL on a live sandbox an error, and name it', async () => {
    const { core, find } = await start(3);
    await core.client.update({
      Key: sandboxKey('sim-0001', BUCKETS),
      UpdateExpression: 'SET #ttl = :ttl',
      ExpressionAttributeNames: { '#ttl': 'ttl' },
      ExpressionAttributeValues: { ':ttl': Math.floor(Date.now() / 1000) + 86_400 },
    });

    expect(await find('ttl')).toMatchObject({ status: 'error', details: { sandboxes: ['sim-0001'] } });
  });

  it('call a TTL on another attribute an error, and none at all a warning', async () => {
    const { core, find } = await start();
    const set = (AttributeName: string, Enabled: boolean) =>
      core.client.raw.send(
        new UpdateTimeToLiveCommand({
          TableName: core.client.table,
          TimeToLiveSpecification: { AttributeName, Enabled },
        }),
      );
    await set('ttl', false);
    expect(await find('ttl')).toMatchObject({ status: 'warning' });
    await set('expires_at', true);
    expect(await find('ttl')).toMatchObject({ status: 'error', details: { attribute: 'expires_at' } });
  });

  it.each([
    ['ahead', 5_000],
    ['behind', -5_000],
  ])('warn of a clock that is %s by more than two seconds', async (_way, skewMs) => {
    const { core, find } = await start();
    core.clock.set(Date.now() + skewMs);

    const skew = await find('clock_skew');
    expect(skew).toMatchObject({ status: 'warning' });
    expect(skew?.details.skew_ms).toBeGreaterThan(2_000);
  });

  it('warn instead of throwing when the store does not answer', async () => {
    const { check, faults } = await start();
    for (const operation of ['DescribeTable', 'DescribeTimeToLive', 'PutItem']) {
      faults.next(operation, () => Promise.reject(new Error('gone')), { times: 100 });
    }

    const checks = await check();
    expect(checks.map((each) => each.status)).toEqual(RUNTIME_CHECK_NAMES.map(() => 'warning'));
  });
});
