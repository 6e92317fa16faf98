import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { allocate } from '../../src/domain/transitions.ts';
import type { ListInput } from '../../src/usecases/list-sandboxes.ts';
import { context, startCore, type TestCore } from '../support/broker/core.ts';
import { lease, mark } from '../support/broker/csp-core.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';
import { describeOnEngines } from '../support/store/engines.ts';

const OTHERS = 400;
const FREE = 8;

describeOnEngines('a look-up in a pool of many', ({ endpoint }) => {
  let core: TestCore;
  /** On the same table, with nothing else to do: what it reads, it reads for the look-ups. */
  let looker: TestCore;
  beforeAll(async () => {
    core = await startCore(endpoint);
    looker = await core.replica();
    const pool = Array.from({ length: OTHERS + FREE }, (_, index): Sandbox => {
      const record = { ...RECORDS.available, id: `sbx-${index}`, name: `lab-${index}` };
      return index < FREE ? record : allocate(record, { ...LEASE, holder: `other-${index}` }, MADE_AT_MS);
    });
    await core.store.writeAll(pool.map((next) => ({ seen: undefined, next })));
  });
  afterAll(() => {
    core.close();
    looker.close();
  });

  const list = (input: Partial<ListInput>) =>
    looker.useCases.listSandboxes({ limit: 50, ...input }, context('admin'));
  /** Every page of it, by id. */
  async function walk(input: Partial<ListInput>): Promise<string[][]> {
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await list({ ...input, cursor });
      pages.push(page.sandboxes.map(({ id }) => id));
      ({ cursor } = page);
    } while (cursor !== undefined);
    return pages;
  }

  it('of a holder is one call and two reads, and the walk behind it finds what is under other keys, once', async () => {
    const { sandboxId: own } = await lease(core, 'anna');
    const { sandboxId: chosen } = await lease(core, 'anna', { idempotencyKey: 'second' });
    const { sandboxId: longer } = await lease(core, 'anna-2');
    looker.calls.clear();
    const { sandboxes, cursor } = await list({ holder: 'anna' });
    expect(sandboxes.map(({ id }) => id)).toEqual([own]);
    expect([looker.calls.count('GetItem'), looker.calls.count()]).toEqual([2, 2]);
    expect(cursor).toBeDefined();

    expect(await walk({ holder: 'anna' })).toEqual([[own], [chosen]]);
    expect(await walk({ holder: 'anna', status: 'pending_deletion' })).toEqual([[]]);
    expect((await walk({ holderPrefix: 'anna' })).flat().sort()).toEqual([own, chosen, longer].sort());
  });

  it('of a holder who has nothing under its own name is one call all the same', async () => {
    const { sandboxId } = await lease(core, 'ci', { idempotencyKey: 'build-1' });
    expect(await walk({ holder: 'ci' })).toEqual([[sandboxId]]);
    // Its lease is over; who held it is still known, and who knows it only from the key is not.
    await mark(core, 'ci', sandboxId);
    expect(await walk({ holder: 'ci' })).toEqual([[sandboxId]]);
    expect(await walk({ holder: 'ci', status: 'allocated' })).toEqual([[]]);
    expect(await walk({ holder: 'nobody' })).toEqual([[]]);
  });

  it('of anything decides itself: an id, a holder, the beginning of a name', async () => {
    const { sandboxId } = await lease(core, 'sbx-9');
    looker.calls.clear();
    const { sandboxes } = await list({ find: 'sbx-9' });
    // One has the id, and one that holder.
    expect(sandboxes.map(({ id }) => id)).toEqual(['sbx-9', sandboxId]);
    expect([looker.calls.count('GetItem'), looker.calls.count()]).toEqual([3, 3]);
    expect((await walk({ find: 'sbx-9' })).flat().sort()).toEqual(['sbx-9', sandboxId].sort());
    const named = [...Array(OTHERS + FREE).keys()].map((index) => `lab-${index}`);
    const wanted = named
      .filter((name) => name.startsWith('lab-39'))
      .map((name) => name.replace('lab', 'sbx'));
    expect((await walk({ find: 'lab-39' })).flat().sort()).toEqual(wanted.sort());
    expect((await walk({ find: 'LAB-39' })).flat()).toEqual([]);
  });

  it('leaves the picking to the store: what is not wanted is not sent', async () => {
    looker.calls.clear();
    const { sandboxes } = await list({ holder: 'other-77' });
    expect(sandboxes.map(({ id }) => id)).toEqual(['sbx-77']);
    // Sixteen buckets and growing steps, not one query for every few records.
    expect(looker.calls.count('Query')).toBeLessThan(40);
  });
});
