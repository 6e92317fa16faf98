import { expect, test } from 'vitest';
import { shuttingDown } from '../../../src/domain/errors.ts';
import { context, TERMS } from '../../support/broker/core.ts';
import { coreOfTest, expire, lease, recordOf } from '../../support/broker/csp-core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { failWith, injectFaults, refusedForGood } from '../../support/store/injected-faults.ts';

const LEASES = 20;

describeOnFastEngine('the expiry', ({ endpoint }) => {
  async function startOverdue() {
    const core = await coreOfTest(endpoint, { poolSize: LEASES });
    const ids: string[] = [];
    for (let n = 0; n < LEASES; n++) ids.push((await lease(core, `student-${n}`)).sandboxId);
    core.clock.advanceSeconds(TERMS.leaseSeconds + TERMS.bufferSeconds);
    return { core, ids };
  }

  test('takes all the others back when one cannot be, says which, and comes back to it', async () => {
    const { core, ids } = await startOverdue();
    const [bad] = ids;
    const faults = injectFaults(core.client);
    faults.next('TransactWriteItems', failWith(refusedForGood), {
      times: Number.POSITIVE_INFINITY,
      matching: ({ json }) => json.includes(`"S#${bad}"`),
    });
    expect(await expire(core)).toEqual({ overdue: LEASES, marked: LEASES - 1, skipped: 0, failed: 1 });
    faults.clear();
    const left: string[] = [];
    for (const id of ids) if ((await recordOf(core, id)).status === 'allocated') left.push(id);
    expect(left).toEqual([bad]);
    expect(core.backgroundErrors).toMatchObject([
      { chore: 'expire', error: { message: `${bad} is left for the next run` } },
    ]);
    expect(await expire(core)).toEqual({ overdue: 1, marked: 1, skipped: 0 });
  });

  test('that is told to stop says what it has done, and leaves the rest', async () => {
    const { core } = await startOverdue();
    const stopping = new AbortController();
    const counts = await core.work.expire({ ...context('auto_expiry'), signal: stopping.signal }, () =>
      stopping.abort(shuttingDown()),
    );
    expect(counts.marked).toBeGreaterThanOrEqual(1);
    expect(counts.marked).toBeLessThan(LEASES);
    expect(await expire(core)).toMatchObject({ marked: expect.any(Number), skipped: 0 });
  });
});
