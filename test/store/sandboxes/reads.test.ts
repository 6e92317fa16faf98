import { afterAll, beforeAll, expect, test } from 'vitest';
import { create } from '../../../src/domain/transitions.ts';
import type { Item } from '../../../src/store/dynamo/documents.ts';
import { bucketOf, sandboxKey } from '../../../src/store/sandboxes/keys.ts';
import {
  createSandboxReads,
  type Page,
  type Place,
  type SandboxReads,
} from '../../../src/store/sandboxes/reads.ts';
import { everywhere } from '../../../src/usecases/everywhere.ts';
import { context, HOUR_SECONDS, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const BUCKETS = 4;
const NAMES = [
  'alpha',
  'alpha-1',
  'alpha-10',
  'alpha-2',
  'Alpha-3',
  'beta',
  'álpha',
  '部屋-1',
  '部屋-2',
  'a#available#b',
];

describeOnEngines('reads over the buckets', ({ endpoint }) => {
  let core: TestCore;
  let reads: SandboxReads;
  const unreadable: unknown[] = [];

  beforeAll(async () => {
    core = await startCore(endpoint, { buckets: BUCKETS });
    reads = createSandboxReads(core.client, BUCKETS, (sortKey) => unreadable.push(sortKey));
    for (const [index, name] of NAMES.entries()) {
      const next = create(`id-${index}`, { name, externalId: 'x', metadata: {} }, core.clock.nowMs());
      await core.store.write({ seen: undefined, next });
    }
  });
  afterAll(() => core.close());

  const namesOf = async (read: (place: Place) => Promise<Page>): Promise<string[]> => {
    const names: string[] = [];
    for await (const sandbox of everywhere(BUCKETS, read)) names.push(sandbox.name);
    return names.sort();
  };

  const named = (namePrefix: string, limit?: number) =>
    namesOf((place) => reads.byStatus({ status: 'available', namePrefix, limit, ...place }));

  test('by status give every sandbox once, however small the pages', async () => {
    const sorted = [...NAMES].sort();
    expect(await named('')).toEqual(sorted);
    expect(await named('', 1)).toEqual(sorted);
    expect(await namesOf((place) => reads.all({ limit: 1, ...place }))).toEqual(sorted);
    expect(await reads.count(['available', 'allocated'], true)).toEqual({
      available: NAMES.length,
      allocated: 0,
    });
  });

  test('by name give those that begin so, to the letter', async () => {
    expect(await named('alpha')).toEqual(['alpha', 'alpha-1', 'alpha-10', 'alpha-2']);
    expect(await named('alpha', 1)).toEqual(['alpha', 'alpha-1', 'alpha-10', 'alpha-2']);
    expect(await named('alpha-1')).toEqual(['alpha-1', 'alpha-10']);
    expect(await named('Alpha')).toEqual(['Alpha-3']);
    expect(await named('部屋')).toEqual(['部屋-1', '部屋-2']);
    expect(await named('a#')).toEqual(['a#available#b']);
    expect(await named('alpha-1x')).toEqual([]);
  });

  test('go on right behind a sandbox, though it has left the bucket meanwhile', async () => {
    const bucket = bucketOf('id-0', BUCKETS);
    const byStatus = async (after?: Item) =>
      (await reads.byStatus({ status: 'available', bucket, ...(after && { after }) })).sandboxes;
    const all = async (after?: Item) => (await reads.all({ bucket, ...(after && { after }) })).sandboxes;

    const [first, ...rest] = await byStatus();
    if (!first || rest.length === 0) throw new Error('the bucket has too few for this test');
    expect(await byStatus(reads.placeOf(first, 'available'))).toEqual(rest);
    const [firstById, ...restById] = await all();
    expect(await all(reads.placeOf(firstById!, undefined))).toEqual(restById);

    await core.client.delete({ Key: sandboxKey(first.id, BUCKETS) });
    expect(await byStatus(reads.placeOf(first, 'available'))).toEqual(rest);
    await core.store.write({ seen: undefined, next: first });
  });

  test('of what is due give everything that is due at the moment, and nothing that is due later', async () => {
    const lease = async (holder: string) => {
      const answer = await core.useCases.allocateSandbox({ principal: 'track', holder }, context());
      core.clock.advanceSeconds(HOUR_SECONDS);
      return answer.lease;
    };
    const [first, second] = [await lease('first'), await lease('second')];
    await lease('third');
    const dueIds = async (nowMs: number) => {
      const ids: string[] = [];
      for await (const { id } of everywhere(BUCKETS, (place) => reads.due({ nowMs, ...place }))) ids.push(id);
      return ids.sort();
    };
    const reclaimAtMs = (first.expiresAt + HOUR_SECONDS / 2) * 1000;
    expect(await dueIds(reclaimAtMs - 1)).toEqual([]);
    expect(await dueIds(reclaimAtMs)).toEqual([first.sandboxId]);
    expect(await dueIds(reclaimAtMs + HOUR_SECONDS * 1000)).toEqual(
      [first.sandboxId, second.sandboxId].sort(),
    );
  });

  test('leave out a record that was bent by hand, and tell of it: the others are not in its way', async () => {
    const before = (await namesOf((place) => reads.all(place))).length;
    const key = sandboxKey('bent', BUCKETS);
    await core.client.put({
      Item: { ...key, id: 'bent', status: 'available', status_key: 'default#available#bent', due_key: 'x' },
    });
    unreadable.length = 0;
    expect((await namesOf((place) => reads.all(place))).length).toBe(before);
    expect(await named('bent')).toEqual([]);
    expect(unreadable).toEqual([key.sk, key.sk]);
    const bucket = bucketOf('bent', BUCKETS);
    const page = await reads.byStatus({ status: 'available', bucket });
    expect(page.sandboxes.map(({ id }) => id)).not.toContain('bent');
    await core.client.delete({ Key: key });
  });
});
