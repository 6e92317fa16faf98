import { expect, it } from 'vitest';
import { context } from '../../support/broker/core.ts';
import { cleanUp, replicaOfTest } from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { until } from '../../support/until.ts';
import { deletesAt } from './cleanup-steps.ts';
import { startGuarded } from './guarded-cleanup.ts';

/** As the defaults have it: a read time-out of 15 s, and 120 s for what goes on without its caller. */
const GIVEN_UP_AFTER_S = 15;
const MAY_RUN_S = 120;

/** One sandbox whose delete takes so long at CSP, by the fake clock, whoever waits for it; and a hand that lets time pass. */
async function startHanging(endpoint: string, hangSeconds: number) {
  const started = await startGuarded(endpoint, 1, { readTimeoutMs: 300, deleteMayRunMs: MAY_RUN_S * 1000 });
  const { core, csp, clock, deletes } = started;
  const begunAtMs = clock.nowMs();
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  csp.faults.add('delete', { kind: 'hold', until: over });
  const passed = () => (clock.nowMs() - begunAtMs) / 1000;
  const pass = (seconds: number) => {
    clock.advanceSeconds(seconds);
    if (passed() >= hangSeconds) end();
  };
  const cleaning = cleanUp(core);
  await csp.arrived('delete', 1);
  pass(GIVEN_UP_AFTER_S);
  expect(await cleaning).toMatchObject({ failed: 1 });
  return { ...started, passed, pass, deletes };
}

describeOnEngines('a delete that goes on at the provider after its caller has given up', ({ endpoint }) => {
  it('for 90 s has no second one beside it, whatever replicas and operators do meanwhile', async () => {
    const { core, csp, ids, passed, pass, deletes } = await startHanging(endpoint, 90);
    const [id = ''] = ids;
    while (passed() < GIVEN_UP_AFTER_S + MAY_RUN_S - 5) {
      const another = await replicaOfTest(core);
      await core.useCases.retryDeletion(id, context('admin'));
      await core.useCases.retryDeletions({}, context('admin'));
      await Promise.all([cleanUp(core), cleanUp(another)]);
      expect(deletes(), `after ${passed()} s`).toBe(1);
      pass(30);
    }
    await until(() => deletesAt(csp).effective === 1, { what: 'it had its effect, unseen' });
    pass(5);
    expect(await cleanUp(core)).toMatchObject({ due: 1, accepted: 1 });
    pass(60);
    expect(await cleanUp(core)).toMatchObject({ due: 1, deleted: 1 });
    expect([deletes(), csp.overlaps]).toEqual([1, []]);
  });

  it('for longer than DELETE_MAY_RUN_SEC has one, as soon as an operator or a round asks for it then', async () => {
    const { core, csp, ids, passed, pass, deletes } = await startHanging(endpoint, 10 * MAY_RUN_S);
    await core.useCases.retryDeletion(ids[0] ?? '', context('admin'));
    pass(MAY_RUN_S - 1);
    await cleanUp(core);
    expect(deletes()).toBe(1);
    pass(1);
    expect(passed()).toBe(GIVEN_UP_AFTER_S + MAY_RUN_S);
    await cleanUp(core);
    expect([deletes(), csp.overlaps]).toEqual([2, [csp.calls.find(({ uuid }) => uuid)?.uuid]]);
    pass(10 * MAY_RUN_S);
  });
});
