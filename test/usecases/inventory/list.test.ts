import { afterAll, beforeAll, expect, it } from 'vitest';
import { SANDBOX_STATUSES, type Sandbox, type SandboxStatus } from '../../../src/domain/sandbox.ts';
import { allocate, create, markStale } from '../../../src/domain/transitions.ts';
import { bucketOf } from '../../../src/store/sandboxes/keys.ts';
import type { ListInput } from '../../../src/usecases/list-sandboxes.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { coreOfTest, refused, replicaOfTest } from '../../support/broker/csp-core.ts';
import { LEASE, RECORDS } from '../../support/broker/records.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const PAGE_SIZE = 100;
/** Pages of a walk at the most: one that goes in a circle ends, too. */
const MAX_PAGES = 1_000;
/** For what takes seconds on a machine of its own. */
const BUSY_MACHINE_MS = 180_000;

const list = (core: TestCore, input: Partial<ListInput>) =>
  core.useCases.listSandboxes({ limit: PAGE_SIZE, ...input }, context('admin'));

/** Follows the cursors to the end; `onPage` is called between two pages. */
async function walk(
  core: TestCore,
  query: Partial<ListInput> = {},
  onPage: (sandboxes: Sandbox[]) => Promise<void> = async () => undefined,
): Promise<Sandbox[]> {
  const found: Sandbox[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await list(core, { ...query, cursor });
    expect(answer.sandboxes.length).toBeLessThanOrEqual(query.limit ?? PAGE_SIZE);
    found.push(...answer.sandboxes);
    cursor = answer.cursor;
    if (cursor === undefined) return found;
    await onPage(answer.sandboxes);
  }
  throw new Error(`the walk did not end after ${MAX_PAGES} pages`);
}

const sorted = (sandboxes: Iterable<Sandbox>): string[] => [...sandboxes].map((one) => one.id).sort();

/** The statuses of a pool, from its first sandbox on and over again. */
const MIX: SandboxStatus[] = [
  ...Array<SandboxStatus>(4).fill('available'),
  ...Array<SandboxStatus>(2).fill('allocated'),
  'pending_deletion',
  'deletion_failed',
  'stale',
  'deleted',
];

/** A pool of so many sandboxes in all statuses, straight into the table. */
async function fill(core: TestCore, count: number): Promise<Sandbox[]> {
  const all = Array.from({ length: count }, (_, index): Sandbox => {
    const number = String(index).padStart(5, '0');
    const status = MIX[index % MIX.length] ?? 'available';
    return { ...RECORDS[status], id: `sbx-${number}`, name: `lab-${number}` };
  });
  await core.store.writeAll(all.map((next) => ({ seen: undefined, next })));
  return all;
}

describeOnEngines('a walk through all of a large pool', ({ name, endpoint }) => {
  const count = name === 'dynoxide' ? 5_500 : 300;
  let core: TestCore;
  let pool: Sandbox[] = [];
  beforeAll(async () => {
    core = await startCore(endpoint);
    pool = await fill(core, count);
  }, BUSY_MACHINE_MS);
  afterAll(() => core.close());

  it(
    'finds each sandbox once, and no tombstone',
    async () => {
      expect(sorted(await walk(core))).toEqual(sorted(pool.filter((one) => one.status !== 'deleted')));
    },
    BUSY_MACHINE_MS,
  );

  it.each(SANDBOX_STATUSES)('finds each that is %s once', async (status) => {
    const found = await walk(core, { status });
    expect(sorted(found)).toEqual(sorted(pool.filter((one) => one.status === status)));
  });

  it.each([
    ['lab-001', undefined, 100],
    ['lab-001', 'available', 7],
    ['LAB', undefined, 100],
    ['LAB', 'deletion_failed', 100],
    ['lab-00009', 'deleted', 1],
  ] as const)('finds each that begins with "%s", and is %s, once', async (prefix, status, limit) => {
    const isListed = (one: Sandbox) =>
      status === undefined ? one.status !== 'deleted' : one.status === status;
    const wanted = pool.filter((one) => one.name.startsWith(prefix) && isListed(one));
    expect(sorted(await walk(core, { prefix, status, limit }))).toEqual(sorted(wanted));
  });

  // Fewer than a page may look at, and there is nothing to see.
  if (count > 5_000) {
    it('gives up a page that finds little after a while, and goes on with the next', async () => {
      core.calls.clear();
      const { sandboxes, cursor } = await list(core, { prefix: 'nothing' });
      expect(sandboxes).toEqual([]);
      expect(cursor).toBeDefined();
      const first = core.calls.count('Query');
      expect(await list(core, { prefix: 'nothing', cursor })).toEqual({ sandboxes: [] });
      expect(core.calls.count('Query')).toBeGreaterThan(first);
    });
  }
});

describeOnEngines('a list', ({ endpoint }) => {
  it('of nothing is empty, and at its end', async () => {
    const core = await coreOfTest(endpoint);
    for (const query of [{}, { status: 'available' }, { prefix: 'x' }] as const) {
      expect(await list(core, query)).toEqual({ sandboxes: [] });
    }
  });

  it('finds each sandbox once while their statuses and names change between the pages', async () => {
    const core = await coreOfTest(endpoint);
    const nowMs = core.clock.nowMs();
    const ids = Array.from({ length: 120 }, (_, index) => `sbx-${index}`);
    const description = (id: string) => ({ name: `name of ${id}`, externalId: id, metadata: {} });
    const free = new Map(ids.map((id) => [id, create(id, description(id), nowMs)]));
    await core.store.writeAll([...free.values()].map((next) => ({ seen: undefined, next })));
    let changed = 0;
    const found = await walk(core, { limit: 9 }, async (page) => {
      // Some that were on the page, the last of them included, and some that the walk may not have come to.
      for (const id of [page.at(-1)?.id, page[0]?.id, ids[changed], ids[ids.length - 1 - changed]]) {
        const seen = free.get(id ?? '');
        if (!seen) continue;
        free.delete(seen.id);
        const next =
          changed++ % 2 ? markStale(seen, nowMs) : { ...allocate(seen, LEASE, nowMs), name: `x${id}` };
        expect(await core.store.write({ seen, next })).toBe(true);
      }
    });
    expect(changed).toBeGreaterThan(30);
    expect(sorted(found)).toEqual([...ids].sort());
  });

  it('by status goes on where it was when the sandbox at the end of the page has left the status', async () => {
    const core = await coreOfTest(endpoint);
    const pool = (await fill(core, 100)).filter((one) => one.status === 'available');
    const found = await walk(core, { status: 'available', prefix: 'lab', limit: 3 }, async (page) => {
      const seen = page.at(-1);
      if (seen?.status !== 'available') throw new Error('the page has no end');
      expect(await core.store.write({ seen, next: allocate(seen, LEASE, core.clock.nowMs()) })).toBe(true);
    });
    expect(sorted(found)).toEqual(sorted(pool));
  });

  it('goes on from a cursor of another replica', async () => {
    const core = await coreOfTest(endpoint);
    await fill(core, 30);
    const replica = await replicaOfTest(core);
    const first = await list(core, { limit: 20 });
    const second = await list(replica, { limit: 20, cursor: first.cursor });
    expect(new Set(sorted([...first.sandboxes, ...second.sandboxes])).size).toBe(27);
    expect(second.cursor).toBeUndefined();
  });

  it('refuses a cursor that it did not give for this query', async () => {
    const core = await coreOfTest(endpoint);
    await fill(core, 40);
    const { cursor = '' } = await list(core, { limit: 5 });
    const { cursor: ofStatus = '' } = await list(core, { limit: 5, status: 'available', prefix: 'lab' });
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forge = (text: string, change: (fields: Record<string, unknown>) => unknown) =>
      encode(change(JSON.parse(Buffer.from(text, 'base64url').toString())));
    const others = [...Array(40).keys()].map((index) => `sbx-${String(index).padStart(5, '0')}`);
    const elsewhere = (bucket: unknown) => others.find((id) => bucketOf(id, 4) !== bucket);

    const bad: [string, Partial<ListInput>][] = [
      ...['', ' ', 'x', '%', '{}', 'bnVsbA', cursor.slice(0, -4), `x${cursor}`].map(
        (text): [string, object] => [text, {}],
      ),
      ...[null, [], 1, 'x', {}, { version: 1 }].map((value): [string, object] => [encode(value), {}]),
      // Given for another query.
      [cursor, { status: 'available' }],
      [cursor, { prefix: 'lab' }],
      [ofStatus, {}],
      [ofStatus, { status: 'available' }],
      [ofStatus, { status: 'available', prefix: 'la' }],
      [ofStatus, { status: 'stale', prefix: 'lab' }],
      // Changed by hand.
      [forge(cursor, (fields) => ({ ...fields, version: 2 })), {}],
      [forge(cursor, (fields) => ({ ...fields, more: 1 })), {}],
      [forge(cursor, (fields) => ({ ...fields, bucket: 4 })), {}],
      [forge(cursor, (fields) => ({ ...fields, bucket: -1 })), {}],
      [forge(cursor, (fields) => ({ ...fields, bucket: 0.5 })), {}],
      [forge(cursor, (fields) => ({ ...fields, bucket: '0' })), {}],
      [forge(cursor, (fields) => ({ ...fields, last: { id: 'x' } })), {}],
      [forge(cursor, (fields) => ({ ...fields, last: { id: '', name: '' } })), {}],
      [forge(cursor, (fields) => ({ ...fields, last: { id: elsewhere(fields.bucket), name: 'x' } })), {}],
      [
        forge(ofStatus, (fields) => ({
          ...fields,
          last: { id: elsewhere(fields.bucket), name: 'lab-00001' },
        })),
        { status: 'available', prefix: 'lab' },
      ],
      [
        forge(ofStatus, (fields) => ({ ...fields, last: { ...Object(fields.last), name: 'x' } })),
        { status: 'available', prefix: 'lab' },
      ],
    ];
    for (const [text, query] of bad) {
      const code = await refused(list(core, { ...query, cursor: text }));
      expect([text, query, code]).toEqual([text, query, 'INVALID_CURSOR']);
    }
    // The ones that it did give are good.
    expect((await list(core, { cursor })).sandboxes).not.toHaveLength(0);
    const rest = await list(core, { cursor: ofStatus, status: 'available', prefix: 'lab' });
    expect(rest.sandboxes).not.toHaveLength(0);
  });
});
