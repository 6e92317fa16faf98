import { expect, it } from 'vitest';
import { createFakeClock } from '../../support/broker/core.ts';
import {
  cleanUp,
  coreOfTest,
  giveBack,
  recordOf,
  someAccounts,
  stockCsp,
} from '../../support/broker/csp-core.ts';
import { setUp } from '../../support/provider/csp-provider.ts';
import type { FakeFault } from '../../support/provider/fake-csp-faults.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { holdAnswers, injectFaults } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { NOTHING, startWithUsed } from './cleanup-steps.ts';
import { OUTAGE, startGuarded } from './guarded-cleanup.ts';

const MAY_RUN_SECONDS = 30;

describeOnEngines('a delete whose answer does not come', ({ endpoint }) => {
  it.each<[string, FakeFault]>([
    ['hangs', { kind: 'hang' }],
    ['breaks its connection', { kind: 'lost' }],
    ['is given up by a gateway', { kind: 'respond', status: 504 }],
  ])('because it %s is not sent again before it must be over', async (_name, fault) => {
    const { core, csp, clock, deletes } = await startGuarded(endpoint, 1, { readTimeoutMs: 200 });
    csp.faults.add('delete', fault);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, failed: 1 });
    expect(deletes()).toBe(1);
    clock.advanceSeconds(MAY_RUN_SECONDS - 1);
    expect(await cleanUp(core)).toEqual(NOTHING);
    const lists = () => csp.calls.filter(({ operation }) => operation === 'list').length;
    const listed = lists();
    clock.advanceSeconds(3_600);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect([deletes(), lists() - listed], 'it was asked after first').toEqual([2, 1]);
  });

  it('but had its effect has no second one', async () => {
    const { core, csp, clock, ids, deletes } = await startGuarded(endpoint, 1, { readTimeoutMs: 200 });
    csp.faults.add('delete', { kind: 'hang', afterEffect: true });
    expect(await cleanUp(core)).toMatchObject({ failed: 1 });
    clock.advanceSeconds(3_600);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, accepted: 1 });
    clock.advanceSeconds(60);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(deletes()).toBe(1);
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deleted' });
  });

  it('never parks its sandbox', async () => {
    const { core, csp, clock, uuids, parked } = await startGuarded(endpoint, 6, { readTimeoutMs: 200 });
    csp.faults.add('delete', { kind: 'hang' }, { ...OUTAGE, uuid: uuids[0] ?? '' });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 6, deleted: 5, failed: 1 });
    for (let round = 0; round < 3; round++) {
      clock.advanceSeconds(3_600);
      expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, failed: 1 });
    }
    expect(parked).toEqual([]);
  });
});

describeOnEngines('a cleaner that wakes up late', ({ endpoint }) => {
  /** Until then it could send; its claim lasts for longer. */
  const SEND_WITHIN_SECONDS = 20;

  it.each([
    ['its claim is long over', 86_400],
    ['its time to send is over', SEND_WITHIN_SECONDS],
  ])('between its claim and its delete sends nothing when %s', async (_name, seconds) => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    const held = holdAnswers();
    injectFaults(core.client).next('PutItem', held.fault, {
      matching: ({ json }) => json.includes('"claim_id"'),
    });
    const run = cleanUp(core);
    await until(() => held.waiting === 1, { what: 'it has its claim' });
    core.clock.advanceSeconds(seconds);
    held.release();
    expect(await run).toEqual({ ...NOTHING, due: 1, skipped: 1 });
    expect(csp.calls.filter(({ operation }) => operation === 'delete')).toEqual([]);
    expect(await recordOf(core, ids[0])).toMatchObject({
      status: 'pending_deletion',
      cleanup: { attempts: 0, retries: 0 },
    });
    core.clock.advanceSeconds(60);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
  });

  it('a moment before that still sends', async () => {
    const { core } = await startWithUsed(endpoint, 1);
    const held = holdAnswers();
    injectFaults(core.client).next('PutItem', held.fault, {
      matching: ({ json }) => json.includes('"claim_id"'),
    });
    const run = cleanUp(core);
    await until(() => held.waiting === 1, { what: 'it has its claim' });
    core.clock.advanceSeconds(SEND_WITHIN_SECONDS - 1);
    held.release();
    expect(await run).toEqual({ ...NOTHING, due: 1, deleted: 1 });
  });

  it('between a listing that it asked after a crash and its delete sends nothing', async () => {
    const clock = createFakeClock();
    const { csp, provider } = await setUp();
    const core = await coreOfTest(endpoint, { clock, provider });
    await stockCsp(core, csp, someAccounts(1));
    await giveBack(core, 1);
    csp.faults.add('delete', { kind: 'lost' });
    await cleanUp(core);
    clock.advanceSeconds(3_600);
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    csp.faults.add('list', { kind: 'hold', until: answered });
    const lists = csp.calls.filter(({ operation }) => operation === 'list').length;
    const run = cleanUp(core);
    await csp.arrived('list', lists + 1);
    clock.advanceSeconds(3_600);
    answer();
    expect(await run).toMatchObject({ deleted: 0 });
    expect(csp.calls.filter(({ operation }) => operation === 'delete')).toHaveLength(1);
  });
});
