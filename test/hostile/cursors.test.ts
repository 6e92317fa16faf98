import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { allocate } from '../../src/domain/transitions.ts';
import { startCore, type TestCore } from '../support/broker/core.ts';
import { fakeAppDeps } from '../support/broker/fake-app-deps.ts';
import { type Answer, asAdmin, startApp } from '../support/broker/http-app.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { hostileJson, hostileText } from './hostile-values.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_121);

/** As the API's description says. */
const MAX_CURSOR_LENGTH = 2_048;
/** The longest filter there may be, in the most bytes. */
const LONG_PREFIX = '漢'.repeat(128);
const LONG_LAB = '字'.repeat(128);
const LONG_HOLDER = 'h'.repeat(128);
/** The longest names there may be: 256 characters, in the most bytes, or in the most when they are written as JSON. */
const LONG_NAMES = [`${LONG_PREFIX}${'😀'.repeat(128)}`, '😀'.repeat(256), '"'.repeat(256), '\\'.repeat(256)];
const COPIES = 6;

describeOnFastEngine('the cursor of a list', ({ endpoint }) => {
  let core: TestCore;
  const pool: Sandbox[] = LONG_NAMES.flatMap((name, kind) =>
    Array.from({ length: COPIES }, (_, copy): Sandbox => {
      const free = { ...RECORDS.available, id: `${kind}-${copy}-`.padEnd(128, 'i'), name };
      if (copy % 2 === 0) return free;
      const lease = { ...LEASE, leaseId: free.id, holder: LONG_HOLDER, lab: LONG_LAB };
      return allocate(free, lease, MADE_AT_MS);
    }),
  );

  beforeAll(async () => {
    core = await startCore(endpoint, { buckets: 4 });
    await core.store.writeAll(pool.map((next) => ({ seen: undefined, next })));
    return () => core.close();
  });

  /** The list as an operator asks for it, over HTTP. */
  async function listOver(): Promise<(query: Record<string, string>) => Promise<Answer>> {
    const { useCases } = fakeAppDeps().deps;
    const app = await startApp({ useCases: { ...useCases, listSandboxes: core.useCases.listSandboxes } });
    return (query) =>
      app.call('GET', `/v1/admin/sandboxes?${new URLSearchParams(query)}`, { headers: asAdmin() });
  }

  it.each<[string, Record<string, string>, (sandbox: Sandbox) => boolean]>([
    ['no filter', {}, () => true],
    ['a status', { status: 'available' }, ({ status }) => status === 'available'],
    ['a long prefix', { prefix: LONG_PREFIX }, ({ name }) => name.startsWith(LONG_PREFIX)],
    [
      'every filter, each as long as it may be',
      { status: 'allocated', prefix: LONG_PREFIX, holder_prefix: LONG_HOLDER, lab: LONG_LAB },
      ({ status, name }) => status === 'allocated' && name.startsWith(LONG_PREFIX),
    ],
  ])('is one that the broker takes, whatever the names: %s', async (_name, query, isWanted) => {
    const list = await listOver();
    const found: unknown[] = [];
    let cursor: string | undefined;
    do {
      const page = await list({ ...query, limit: '1', ...(cursor !== undefined && { cursor }) });
      expect(page.json.error).toBeUndefined();
      found.push(...(page.json['sandboxes'] as { sandbox_id: string }[]).map((each) => each.sandbox_id));
      cursor = page.json['cursor'] as string | undefined;
    } while (cursor !== undefined && found.length <= pool.length);
    const wanted = pool.filter(isWanted).map(({ id }) => id);
    expect(wanted.length).toBeGreaterThan(1);
    expect(found.toSorted()).toEqual(wanted.toSorted());
  });

  it('may be as long as the API says beside the longest filters: the URL has room', async () => {
    const list = await listOver();
    const answer = await list({
      prefix: LONG_PREFIX,
      holder: LONG_LAB,
      lab: LONG_LAB,
      cursor: 'x'.repeat(MAX_CURSOR_LENGTH),
    });
    expect(answer.json.error?.code).toBe('INVALID_CURSOR');
  });

  it('that is forged is refused, or reads what it would read anyway', async () => {
    const list = await listOver();
    const query = { status: 'available', limit: '3' };
    const { json } = await list(query);
    const honest = Buffer.from(String(json['cursor']), 'base64url');
    const fields: Record<string, unknown> = JSON.parse(honest.toString());
    const bytes = (text: string) => Buffer.from(text);
    const forged = fc.oneof(
      // One bit turned over.
      fc
        .nat(honest.length * 8 - 1)
        .map((bit) => honest.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))),
      fc.nat(honest.length).map((length) => honest.subarray(0, length)),
      hostileJson.map((value) => bytes(JSON.stringify(value) ?? '')),
      fc
        .tuple(fc.constantFrom(...Object.keys(fields), '__proto__'), hostileJson)
        .map(([key, value]) =>
          bytes(JSON.stringify(Object.fromEntries([...Object.entries(fields), [key, value]]))),
        ),
      hostileText.map((id) => bytes(JSON.stringify({ ...fields, last: { ...Object(fields['last']), id } }))),
    );
    const free = new Set(pool.filter(({ status }) => status === 'available').map(({ id }) => id));
    let refused = 0;
    const property = fc.asyncProperty(forged, async (data) => {
      const cursor = Buffer.from(data).toString('base64url');
      // Past it nobody looks at it as a cursor.
      fc.pre(cursor.length <= MAX_CURSOR_LENGTH);
      const answer = await list({ ...query, cursor });
      if (answer.status === 200) {
        const ids = (answer.json['sandboxes'] as { sandbox_id: string }[]).map((each) => each.sandbox_id);
        expect(ids.filter((id) => !free.has(id))).toEqual([]);
      } else {
        refused++;
        expect([answer.status, answer.json.error?.code]).toEqual([400, 'INVALID_CURSOR']);
      }
    });
    await fc.assert(property, { seed: SEED, numRuns: 250 });
    expect(refused).toBeGreaterThan(150);
  });

  it('of another query is refused', async () => {
    const list = await listOver();
    const cursor = String((await list({ limit: '3', prefix: LONG_PREFIX })).json['cursor']);
    const others: Record<string, string>[] = [
      {},
      { prefix: LONG_PREFIX.slice(1) },
      { prefix: LONG_PREFIX, status: 'available' },
      { prefix: LONG_PREFIX, lab: LONG_LAB },
      { holder: LONG_PREFIX },
    ];
    for (const query of others) {
      expect((await list({ ...query, cursor })).json.error?.code).toBe('INVALID_CURSOR');
    }
  });
});
