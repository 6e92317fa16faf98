import { expect, test } from 'vitest';
import { coreOfTest, replicaOfTest, stock } from '../support/broker/csp-core.ts';
import { checkHistory } from '../support/history/check-history.ts';
import { readEnd } from '../support/history/read-end.ts';
import { recordCore } from '../support/history/recorded-core.ts';
import { createRecorder } from '../support/history/recorder.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import { holdAnswers, injectFaults } from '../support/store/injected-faults.ts';
import { until } from '../support/until.ts';

describeOnEngines('an answer of the store that comes late', ({ endpoint }) => {
  test('is told to nobody who called after the lease was over', async () => {
    const late = await coreOfTest(endpoint);
    const near = await replicaOfTest(late);
    await stock(late, ['lab-1', 'lab-2']);
    let recorded = 0;
    const recorder = createRecorder({ now: () => ++recorded });
    const [atLate, atNear] = [recordCore(late, recorder), recordCore(near, recorder)];
    const grant = holdAnswers();
    injectFaults(late.client).next('TransactWriteItems', grant.fault);

    const first = atLate.allocate({ holder: 'ada' });
    await until(() => grant.waiting === 1, { what: 'the lease is in the store' });
    // She did not wait for the answer, found her lease at another replica, and gave it back there.
    const won = await atNear.allocate({ holder: 'ada' });
    if (won.type !== 'leased') throw new Error(won.type);
    expect(await atNear.mark('ada', won.sandboxId)).toEqual({ type: 'done' });
    const next = atLate.allocate({ holder: 'ada' });
    grant.release();
    await first;

    const { sandboxId } = { sandboxId: undefined, ...(await next) };
    expect(sandboxId).toMatch(/^[12]$/);
    expect(sandboxId).not.toBe(won.sandboxId);
    const end = await readEnd(late.client);
    const history = { ...end, calls: recorder.calls, asOfMs: late.clock.nowMs(), expectedIds: ['1', '2'] };
    expect(checkHistory({ ...history, termMs: 4.5 * 3_600_000 })).toEqual([]);
  });
});
