import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { context, type TestCore } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { failWith, refused } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { imagined, start } from './ready-list-steps.ts';

/** Leases one after the other, each to a holder of its own. */
async function leaseSome(core: TestCore, count: number): Promise<{ conflicts: number }> {
  let conflicts = 0;
  for (let i = 0; i < count; i++) {
    const input = { principal: 'track', holder: randomUUID() };
    conflicts += (await core.useCases.allocateSandbox(input, context())).conflicts;
  }
  return { conflicts };
}

describeOnFastEngine('the ready list', ({ endpoint }) => {
  test('is filled in the background when it runs low', async () => {
    const { core } = await start(endpoint, 200);
    await core.readyList.refresh();
    expect(core.readyList.size).toBe(64);
    await leaseSome(core, 33);
    await until(() => core.readyList.size > 32, { what: 'the list is filled again' });
    expect(await leaseSome(core, 20)).toEqual({ conflicts: 0 });
  });

  test('tells of a refill that fails, and tries again with the next take', async () => {
    const { core, faults } = await start(endpoint, 200);
    await core.readyList.refresh();
    const isDown = failWith(() => refused('InternalServerError', 500));
    faults.next('Query', isDown, { times: Number.POSITIVE_INFINITY });
    await leaseSome(core, 33);
    await until(() => core.backgroundErrors.length === 1, { what: 'the refill fails' });
    expect(core.backgroundErrors).toMatchObject([{ chore: 'refill', error: { code: 'STORE_UNAVAILABLE' } }]);
    faults.clear();
    await leaseSome(core, 1);
    await until(() => core.readyList.size > 32, { what: 'the list is filled again' });
  });

  test('keeps its hints when a refresh fails, and tells of it', async () => {
    const { list, errors, faults } = await start(endpoint, 3);
    await list.refresh();
    const isDown = failWith(() => refused('InternalServerError', 500));
    faults.next('Query', isDown, { times: Number.POSITIVE_INFINITY });
    await list.refresh();
    expect(errors).toHaveLength(1);
    expect(list.size).toBe(3);
  });

  test('is sized by how many are out at once', async () => {
    const { list } = await start(endpoint, 300);
    for (let i = 0; i < 100; i++) {
      list.giveBack(imagined(`imagined-${i}`));
      list.take();
    }
    await list.refresh();
    expect(list.size).toBe(200);
  });
});
