import { expect, it } from 'vitest';
import { sandboxKey } from '../../../src/store/sandboxes/keys.ts';
import { context, type TestCore } from '../../support/broker/core.ts';
import { cleanUp, recordOf, statusCounts } from '../../support/broker/csp-core.ts';
import type { FakeCsp } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  type FaultInjector,
  failWith,
  injectFaults,
  type SentCall,
} from '../../support/store/injected-faults.ts';
import { deletesAt, NOTHING, startWithUsed } from './cleanup-steps.ts';

const isOfEffect = ({ json }: SentCall) => json.includes('"effect:');
const listsOf = (csp: FakeCsp) => csp.calls.filter(({ operation }) => operation === 'list').length;

/** More than a claim lasts. */
const CLAIM_OVER_SECONDS = 3_600;
const cutOff = () => Object.assign(new Error('cut off'), { code: 'ECONNRESET' });
/** In company, and alone with the store's own retries. */
const ONE_CALL = 5;

/** A claim whose cleaner went away: nobody knows what it did. */
async function leaveAClaim(core: TestCore): Promise<FaultInjector> {
  const faults = injectFaults(core.client);
  faults.next('TransactWriteItems', failWith(cutOff), { times: 3 * ONE_CALL });
  await expect(cleanUp(core)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  return faults;
}

describeOnEngines('the first delete of a sandbox', ({ endpoint }) => {
  it('has its claim for a record, and no other', async () => {
    const { core, csp } = await startWithUsed(endpoint, 3);
    const { calls } = injectFaults(core.client);
    const listed = listsOf(csp);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, deleted: 3 });
    expect(calls.filter(isOfEffect)).toEqual([]);
    expect(calls.filter(({ json }) => json.includes('"claim_id"'))).toHaveLength(3);
    expect([deletesAt(csp), listsOf(csp)]).toEqual([{ effective: 3, missed: 0 }, listed]);
  });

  it('that the store does not hear of at once is told again, and not done again', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    injectFaults(core.client).next('TransactWriteItems', failWith(cutOff), { times: 2 * ONE_CALL });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deleted', reason: 'destroyed' });
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
  });

  it('of which nobody knows whether it happened is asked after by who comes next, with a record', async () => {
    const { core, csp } = await startWithUsed(endpoint, 1);
    const { calls } = await leaveAClaim(core);
    core.clock.advanceSeconds(CLAIM_OVER_SECONDS);
    const listed = listsOf(csp);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, accepted: 1 });
    expect([deletesAt(csp), listsOf(csp) - listed]).toEqual([{ effective: 1, missed: 0 }, 1]);
    expect(calls.filter(isOfEffect)).toHaveLength(2);
  });

  it('is in doubt also after a quarantine', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    await leaveAClaim(core);
    core.clock.advanceSeconds(CLAIM_OVER_SECONDS);
    const [id = ''] = ids;
    await core.useCases.quarantineSandbox(
      { sandboxId: id, reason: 'odd', endLease: false },
      context('admin'),
    );
    await core.useCases.restoreSandbox(id, context('admin'));
    const listed = listsOf(csp);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, accepted: 1 });
    expect([deletesAt(csp), listsOf(csp) - listed]).toEqual([{ effective: 1, missed: 0 }, 1]);
  });

  it('that failed for sure is tried again without a question', async () => {
    const { core, csp } = await startWithUsed(endpoint, 2);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, deleted: 1, failed: 1 });
    core.clock.advanceSeconds(CLAIM_OVER_SECONDS);
    const listed = listsOf(csp);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(listsOf(csp)).toBe(listed);
    expect(await statusCounts(core)).toEqual({ deleted: 2 });
  });

  it('that failed for sure, and that an operator has tried again, is not asked after either', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    csp.faults.add('delete', { kind: 'respond', status: 500, afterEffect: true });
    expect(await cleanUp(core)).toMatchObject({ due: 1, failed: 1 });
    await core.useCases.retryDeletion(ids[0] ?? '', context('admin'));
    const listed = listsOf(csp);
    expect(await cleanUp(core)).toMatchObject({ due: 1, deleted: 1 });
    expect(listsOf(csp)).toBe(listed);
    expect(await statusCounts(core)).toEqual({ deleted: 1 });
  });

  it('beside a replica of an earlier version, which leaves the mark out, has a record as it had there', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    const { pk, sk } = sandboxKey(ids[0] ?? '', core.reads.buckets);
    const { calls } = injectFaults(core.client);
    await core.client.update({ Key: { pk, sk }, UpdateExpression: 'REMOVE deletion_untried' });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(calls.filter(isOfEffect)).toHaveLength(2);
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
  });
});
