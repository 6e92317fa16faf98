import { expect, onTestFinished, test } from 'vitest';
import { composeSafety } from '../../src/compose/safety.ts';
import { loadConfig } from '../../src/config/index.ts';
import { openListing } from '../../src/domain/listed.ts';
import { ProviderError } from '../../src/provider/provider.ts';
import { context, createCountingClient, createFakeClock, type TestCore } from '../support/broker/core.ts';
import {
  cleanUp,
  coreOfTest,
  expire,
  giveBack,
  lease,
  mark,
  recordOf,
  records,
  refusal,
  replicaOfTest,
  statusCounts,
  sync,
} from '../support/broker/csp-core.ts';
import { RECORDS } from '../support/broker/records.ts';
import { describeOnEngines, describeOnFastEngine } from '../support/store/engines.ts';

const DRY_RUN = { dryRun: { enabled: true, strict: false } };
const DAY_SECONDS = 86_400;

/** A core in a dry run, beside one on the same table that is not. */
async function startBoth(endpoint: string, poolSize: number) {
  const live = await coreOfTest(endpoint, { poolSize });
  const deletes: string[] = [];
  const dry = await replicaOfTest(live, {
    ...DRY_RUN,
    provider: {
      ...live.provider,
      deleteSandbox: (sandbox, signal) => {
        deletes.push(sandbox.sandboxId);
        return live.provider.deleteSandbox(sandbox, signal);
      },
    },
  });
  return { live, dry, deletes };
}

/** Lets the provider list nothing any more, so that what is free becomes stale. */
async function makeStale(core: TestCore): Promise<void> {
  core.clock.advanceSeconds(60);
  const empty = await replicaOfTest(core, {
    provider: { ...core.provider, listSandboxes: async () => ({ items: openListing(), invalid: 0 }) },
  });
  await sync(empty, true);
}

describeOnEngines('a dry run', ({ endpoint }) => {
  test('deletes nothing at the provider and writes nothing to a record: no claim, no attempt, no retry', async () => {
    const { live, dry, deletes } = await startBoth(endpoint, 3);
    await giveBack(live, 3);
    const before = await records(live);
    dry.calls.clear();
    const counts = await cleanUp(dry);
    expect(counts).toMatchObject({
      due: 3,
      deleted: 0,
      recycled: 0,
      failed: 0,
      skipped: 0,
      dry_run_blocked: 3,
    });
    expect(await records(live)).toEqual(before);
    expect(
      ['PutItem', 'UpdateItem', 'TransactWriteItems', 'DeleteItem'].map((name) => dry.calls.count(name)),
    ).toEqual([0, 0, 0, 0]);
    expect(deletes).toEqual([]);
    expect(dry.safety.dryRun.log().map(({ action, status }) => [action, status])).toEqual(
      Array.from({ length: 3 }, () => ['csp_delete', 'dry_run_blocked']),
    );
    expect(await cleanUp(live), 'what was held back is done when the lock is open').toMatchObject({
      recycled: 3,
    });
  });

  test('leaves a failed deletion and its retry count as they are', async () => {
    const live = await coreOfTest(endpoint, { poolSize: 1 });
    await giveBack(live, 1);
    live.provider.fail({ operation: 'delete', kind: 'server_error' });
    expect(await cleanUp(live)).toMatchObject({ failed: 1 });
    live.clock.advanceSeconds(3_600);
    const before = await recordOf(live, 'sim-0001');
    expect(before).toMatchObject({ status: 'deletion_failed', cleanup: { retries: 0, attempts: 1 } });
    const dry = await replicaOfTest(live, { ...DRY_RUN });
    for (let run = 0; run < 3; run++)
      expect(await cleanUp(dry)).toMatchObject({ due: 1, dry_run_blocked: 1 });
    expect(await recordOf(live, 'sim-0001')).toEqual(before);
  });

  test('goes on with leasing, giving back, expiring, syncing and the hand of an operator', async () => {
    const { dry } = await startBoth(endpoint, 3);
    const first = await lease(dry, 'a');
    await mark(dry, 'a', first.sandboxId);
    await lease(dry, 'b');
    const third = await lease(dry, 'c');
    await dry.useCases.releaseSandbox(third.sandboxId, context('admin'));
    dry.clock.advanceSeconds(5 * 3_600);
    expect(await expire(dry)).toMatchObject({ marked: 1 });
    expect(await sync(dry)).toMatchObject({ listed: 3 });
    expect(await statusCounts(dry)).toEqual({ pending_deletion: 3 });
    expect(dry.safety.dryRun.log()).toEqual([]);
  });

  test('purges no record, and says how many it would have purged', async () => {
    const { live, dry } = await startBoth(endpoint, 4);
    await makeStale(live);
    live.clock.advanceSeconds(2 * DAY_SECONDS);
    const before = await records(live);
    expect(await dry.work.purge({ gracePeriodHours: 24 }, context('stale_purge'))).toEqual({
      deleted: 0,
      skipped: 0,
      dry_run_blocked: 4,
    });
    expect(await dry.work.purge({ gracePeriodHours: 1_000 }, context('stale_purge'))).toMatchObject({
      dry_run_blocked: 0,
    });
    expect(await dry.useCases.bulkDelete({ status: 'stale' }, context('admin'))).toEqual({
      deleted: 0,
      skipped: 0,
      dry_run_blocked: 4,
    });
    expect(await records(live)).toEqual(before);
    expect(dry.safety.dryRun.log().map(({ action }) => action)).toEqual([
      'stale_purge',
      'stale_purge',
      'bulk_delete',
    ]);
    expect(await live.useCases.bulkDelete({ status: 'stale' }, context('admin'))).toEqual({
      deleted: 4,
      skipped: 0,
    });
  });

  test('uses up no quota: when the lock is opened it is whole', async () => {
    const { live, dry } = await startBoth(endpoint, 3);
    await giveBack(live, 3);
    for (let run = 0; run < 5; run++) await cleanUp(dry);
    for (let run = 0; run < 12; run++) await dry.useCases.bulkDelete({ status: 'stale' }, context('admin'));
    await live.safety.governor.refresh();
    const quotas = live.safety.governor.status().filter(({ scope }) => scope === 'global');
    expect(quotas.map(({ currentActions }) => currentActions)).toEqual(quotas.map(() => 0));
  });
});

describeOnFastEngine('the log of what cannot be undone', ({ endpoint }) => {
  test('tells executed from failed, without a dry run, too; a lost claim is neither', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 3, cleanupConcurrency: 1 });
    await giveBack(core, 3);
    core.provider.fail({ operation: 'delete', kind: 'rejected', sandboxId: 'sim-0002' });
    await cleanUp(core);
    const statusOf = new Map(
      core.safety.dryRun
        .log({ action: 'csp_delete' })
        .map(({ status, args }) => [args['sandbox_id'], status]),
    );
    expect(statusOf).toEqual(
      new Map([
        ['sim-0001', 'executed'],
        ['sim-0002', 'error'],
        ['sim-0003', 'executed'],
      ]),
    );
    await makeStale(core);
    core.calls.clear();
    await core.useCases.bulkDelete({ status: 'stale' }, context('admin'));
    const writes = ['PutItem', 'UpdateItem', 'DeleteItem', 'TransactWriteItems'].map((name) =>
      core.calls.count(name),
    );
    expect(writes, 'one transaction for each of two records, beside the use of the quota').toEqual([
      1, 1, 0, 2,
    ]);
    const actions = core.safety.dryRun.log().map(({ action, status }) => `${action} ${status}`);
    expect(actions.slice(3)).toEqual(['row_purge executed', 'row_purge executed', 'bulk_delete executed']);
  });
});

/** A record that a bulk delete would take. */
const putStale = (core: TestCore, id: string) =>
  core.store.write({ seen: undefined, next: { ...RECORDS.stale, id } });

describeOnEngines('a quota on what cannot be undone', ({ endpoint }) => {
  const QUOTAS = loadConfig({}).quotas;
  const limited = (resource: keyof typeof QUOTAS, maxActions: number) => ({
    quotas: { ...QUOTAS, [resource]: { ...QUOTAS[resource], maxActions } },
  });

  test('leaves the rest of a cleanup as it was, and lets it go on when there is room', async () => {
    const core = await coreOfTest(endpoint, {
      poolSize: 6,
      cleanupConcurrency: 1,
      ...limited('csp_delete', 4),
    });
    await giveBack(core, 6);
    const before = await records(core);
    expect(await cleanUp(core)).toMatchObject({ due: 6, recycled: 4, failed: 0, skipped: 2 });
    const left = [...(await records(core)).values()].filter(({ status }) => status === 'pending_deletion');
    expect(left).toEqual(left.map(({ id }) => before.get(id)));
    expect(left).toHaveLength(2);
    expect(core.alerts).toMatchObject([{ task: 'governor', reason: 'quota_exceeded_csp_delete' }]);
    core.clock.advanceSeconds(3_600 + 72);
    expect(await cleanUp(core)).toMatchObject({ due: 2, recycled: 2 });
  });

  test('holds for replicas that clean up at the same time together', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 12, ...limited('csp_delete', 5) });
    const other = await replicaOfTest(core, { provider: core.provider, ...limited('csp_delete', 5) });
    await giveBack(core, 12);
    const [one, two] = await Promise.all([cleanUp(core), cleanUp(other)]);
    expect(one.recycled + two.recycled).toBeLessThanOrEqual(5);
    expect(await statusCounts(core)).toMatchObject({ available: one.recycled + two.recycled });
  });

  test('refuses the eleventh bulk delete of an hour, with the time to come back; those of nothing do not count', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 0 });
    const bulkDelete = () => core.useCases.bulkDelete({ status: 'stale' }, context('admin'));
    for (let n = 0; n < 11; n++) expect(await bulkDelete()).toEqual({ deleted: 0, skipped: 0 });
    for (let n = 0; n < 10; n++) {
      await putStale(core, `sbx-${n}`);
      expect(await bulkDelete()).toEqual({ deleted: 1, skipped: 0 });
    }
    await putStale(core, 'one-more');
    const error = await refusal(bulkDelete());
    expect(error).toMatchObject({ code: 'QUOTA_EXCEEDED', details: { resource: 'bulk_delete' } });
    expect(error.retryAfterSeconds).toBeGreaterThan(3_000);
  });
});

describeOnFastEngine('a store that is away', ({ endpoint }) => {
  test('lets nothing be deleted', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    await giveBack(core, 2);
    const { client } = createCountingClient('http://127.0.0.1:9', 'nowhere', { totalTimeoutMs: 300 });
    onTestFinished(() => client.close());
    const safety = composeSafety({
      client,
      clock: createFakeClock(),
      newId: () => 'id',
      alert: () => undefined,
      ...loadConfig({}),
    });
    const deleted: string[] = [];
    const blind = await replicaOfTest(core, {
      safety,
      provider: {
        ...core.provider,
        deleteSandbox: async ({ sandboxId }) => {
          deleted.push(sandboxId);
          throw new ProviderError('network', 'must not be called');
        },
      },
    });
    await putStale(core, 'gone');
    const before = await records(core);
    await expect(cleanUp(blind)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect((await refusal(blind.useCases.bulkDelete({ status: 'stale' }, context('admin')))).code).toBe(
      'STORE_UNAVAILABLE',
    );
    expect(deleted).toEqual([]);
    expect(await records(core)).toEqual(before);
    expect(safety.dryRun.log()).toEqual([]);
  });
});

describeOnFastEngine('the defaults', ({ endpoint }) => {
  test('let a thousand finished sandboxes be cleaned up in one go: each takes one of at least as many', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 0, cleanupConcurrency: 20 });
    await core.store.writeAll(
      Array.from({ length: 60 }, (_, n) => ({
        seen: undefined,
        next: { ...RECORDS.pending_deletion, id: `sbx-${n}`, name: `lab-${n}` },
      })),
    );
    expect(await cleanUp(core)).toMatchObject({ due: 60, deleted: 60, skipped: 0 });
    expect(core.alerts).toEqual([]);
    const quota = core.safety.governor.status().find(({ resource }) => resource === 'csp_delete');
    expect(quota?.currentActions).toBe(60);
    expect(quota?.maxActions ?? Infinity).toBeGreaterThanOrEqual(1_000);
  });
});
