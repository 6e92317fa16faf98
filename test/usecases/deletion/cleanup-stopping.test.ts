import { expect, test } from 'vitest';
import { shuttingDown } from '../../../src/domain/errors.ts';
import type { Provider } from '../../../src/provider/provider.ts';
import { context } from '../../support/broker/core.ts';
import { cleanUp, recordOf, replicaOfTest } from '../../support/broker/csp-core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { deletesAt, startWithUsed } from './cleanup-steps.ts';

describeOnFastEngine('a cleanup that a shutdown meets', ({ endpoint }) => {
  test('between claim and delete gives the claim back: the next replica need not wait for its end', async () => {
    const { core, csp, provider, ids } = await startWithUsed(endpoint, 3);
    const stopping = new AbortController();
    const stoppingProvider: Provider = {
      ...provider,
      async deleteSandbox() {
        stopping.abort(shuttingDown());
        throw shuttingDown();
      },
    };
    const stopped = await replicaOfTest(core, { provider: stoppingProvider });
    const counts = await stopped.work.cleanup({ ...context('background_cleanup'), signal: stopping.signal });
    expect(counts).toMatchObject({ due: 3, deleted: 0, failed: 0, skipped: 3 });
    for (const id of ids) {
      const record = await recordOf(core, id);
      expect(record).toMatchObject({ status: 'pending_deletion', cleanup: { retries: 0 } });
      expect(record).not.toHaveProperty('cleanup.claimId');
    }
    // The clock has not moved.
    expect(await cleanUp(core)).toMatchObject({ due: 3, deleted: 3 });
    expect(deletesAt(csp)).toEqual({ effective: 3, missed: 0 });
  });

  test('in the middle of its claims keeps none of them', async () => {
    const { core, ids } = await startWithUsed(endpoint, 3);
    const stopping = new AbortController();
    const replica = await replicaOfTest(core, { cleanupConcurrency: 1 });
    const run = replica.work.cleanup({ ...context('background_cleanup'), signal: stopping.signal }, () => {
      stopping.abort(shuttingDown());
    });
    await run.catch(() => undefined);
    for (const id of ids) expect(await recordOf(core, id)).not.toHaveProperty('cleanup.claimId');
  });
});
