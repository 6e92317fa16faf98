import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { allocate } from '../../src/domain/transitions.ts';
import type { Item } from '../../src/store/dynamo/documents.ts';
import type { ListInput } from '../../src/usecases/list-sandboxes.ts';
import { context, startCore, type TestCore } from '../support/broker/core.ts';
import { cleanUp, lease, mark } from '../support/broker/csp-core.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import { readTable } from '../support/store/table-audit.ts';

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

  it('of a holder is one call and two reads: all that it has, under its own name and under keys of its choice', async () => {
    const { sandboxId: own } = await lease(core, 'anna');
    const { sandboxId: chosen } = await lease(core, 'anna', { idempotencyKey: 'second' });
    const { sandboxId: longer } = await lease(core, 'anna-2');
    looker.calls.clear();
    const { sandboxes, cursor } = await list({ holder: 'anna' });
    expect([...sandboxes.map(({ id }) => id), cursor]).toEqual([...[own, chosen].sort(), undefined]);
    expect([looker.calls.count('Query'), looker.calls.count('BatchGetItem'), looker.calls.count()]).toEqual([
      1, 1, 2,
    ]);
    expect(await walk({ holder: 'anna', limit: 1 })).toEqual([own, chosen].sort().map((id) => [id]));
    expect(await walk({ holder: 'anna', status: 'pending_deletion' })).toEqual([[]]);
    expect((await walk({ holderPrefix: 'anna' })).flat().sort()).toEqual([own, chosen, longer].sort());
  });

  it('of a holder who has nothing is one read, in a pool of any size', async () => {
    looker.calls.clear();
    expect(await walk({ holder: 'nobody' })).toEqual([[]]);
    expect(looker.calls.count()).toBe(1);
  });

  it('of a holder tells what it gave back until that is clean, and then nothing leads there any more', async () => {
    const held = [
      await lease(core, 'ci'),
      await lease(core, 'ci', { idempotencyKey: 'build-1' }),
      await lease(core, 'ci', { idempotencyKey: 'build-2' }),
    ].map(({ sandboxId }) => sandboxId);
    const pointers = async () =>
      (await readTable(core.client)).filter(
        ({ pk, sk }) => `${pk}`.startsWith('I#') && `${sk}`.startsWith('S#'),
      );
    const before = (await pointers()).length;
    for (const id of held) await mark(core, 'ci', id);
    expect(await walk({ holder: 'ci' })).toEqual([[...held].sort()]);
    expect(await walk({ holder: 'ci', status: 'pending_deletion' })).toEqual([[...held].sort()]);
    expect(await walk({ holder: 'ci', status: 'allocated' })).toEqual([[]]);
    await cleanUp(core);
    expect(await walk({ holder: 'ci' })).toEqual([[]]);
    expect(await pointers()).toHaveLength(before - 2);
  });

  it('of a holder never tells of a sandbox that is another’s by now, whatever is left of its keys', async () => {
    const { sandboxId } = await lease(core, 'before', { idempotencyKey: 'k' });
    const isPointer = ({ pk, sk }: Item) => `${pk}`.startsWith('I#') && sk === `S#${sandboxId}`;
    const pointer = (await readTable(core.client)).find(isPointer);
    // As replicas of an earlier version would leave them: of what is another's by now, and of nothing that is there.
    for (const id of ['sbx-77', 'nothing']) await core.client.put({ Item: { ...pointer, sk: `S#${id}` } });
    expect(await walk({ holder: 'before' })).toEqual([[sandboxId]]);
    expect(await list({ find: 'before' })).toMatchObject({ sandboxes: [{ id: sandboxId }] });
  });

  it('of anything decides itself: an id, a holder, the beginning of a name', async () => {
    const { sandboxId } = await lease(core, 'sbx-9');
    looker.calls.clear();
    const { sandboxes } = await list({ find: 'sbx-9' });
    // One has the id, and one that holder.
    expect(sandboxes.map(({ id }) => id)).toEqual(['sbx-9', sandboxId]);
    expect([looker.calls.count('Query'), looker.calls.count('BatchGetItem'), looker.calls.count()]).toEqual([
      1, 1, 2,
    ]);
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
    const { sandboxes } = await list({ holderPrefix: 'other-77' });
    expect(sandboxes.map(({ id }) => id)).toEqual(['sbx-77']);
    // Sixteen buckets and growing steps, not one query for every few records.
    expect(looker.calls.count('Query')).toBeLessThan(40);
  });
});
