import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { allocate } from '../../src/domain/transitions.ts';
import type { ListInput } from '../../src/usecases/list-sandboxes.ts';
import { context, startCore, type TestCore } from '../support/broker/core.ts';
import { refused } from '../support/broker/csp-core.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

const COUNT = 900;
const MAX_PAGES = 200;

describeOnFastEngine('a list filtered by holder and lab', ({ endpoint }) => {
  let core: TestCore;
  const pool: Sandbox[] = Array.from({ length: COUNT }, (_, index): Sandbox => {
    const record = { ...RECORDS.available, id: `sbx-${index}`, name: `lab-${index}` };
    if (index % 3 === 0) return record;
    const holder = `student-${index % 10}-${index}`;
    const lab = index % 3 === 1 ? `course-${index % 4}` : undefined;
    const lease = { ...LEASE, holder, lab };
    return allocate(record, lease, MADE_AT_MS);
  });
  beforeAll(async () => {
    core = await startCore(endpoint, { buckets: 4 });
    await core.store.writeAll(pool.map((next) => ({ seen: undefined, next })));
  });
  afterAll(() => core.close());

  const list = (input: Partial<ListInput>) =>
    core.useCases.listSandboxes({ limit: 50, ...input }, context('admin'));

  async function walk(query: Partial<ListInput>): Promise<string[]> {
    const found: string[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer = await list({ ...query, cursor });
      found.push(...answer.sandboxes.map(({ id }) => id));
      ({ cursor } = answer);
      if (cursor === undefined) return found.sort();
    }
    throw new Error('the walk did not end');
  }

  const leased = (matches: (lease: { holder: string; lab?: string | undefined }) => boolean): string[] =>
    pool.flatMap((one) => (one.status === 'allocated' && matches(one.lease) ? [one.id] : [])).sort();

  it.each([
    ['a holder’s beginning', { holderPrefix: 'student-7' }],
    ['one whole holder as a beginning', { holderPrefix: 'student-1-1' }],
    ['a lab', { lab: 'course-2' }],
    ['both', { holderPrefix: 'student-4', lab: 'course-2' }],
    ['a status besides', { holderPrefix: 'student-4', status: 'allocated' }],
    ['a name besides', { lab: 'course', prefix: 'lab-1' }],
    ['pages of one', { holderPrefix: 'student-1-1', limit: 1 }],
    ['nobody', { holderPrefix: 'teacher' }],
  ] as const)('finds each once that has it: %s', async (_name, query) => {
    const { holderPrefix: holder = '', lab, prefix = '' }: Partial<ListInput> = query;
    const names = new Map(pool.map((one) => [one.id, one.name]));
    const wanted = leased(
      (lease) =>
        lease.holder.startsWith(holder) && (lab === undefined || lease.lab?.startsWith(lab) === true),
    ).filter((id) => names.get(id)?.startsWith(prefix));
    expect(await walk(query)).toEqual(wanted);
  });

  it('finds none where no lease can be', async () => {
    expect(await walk({ holderPrefix: 'student', status: 'available' })).toEqual([]);
  });

  it('reads on in growing steps where few have it', async () => {
    core.calls.clear();
    await walk({ holderPrefix: 'student-1-1', status: 'allocated', limit: 2 });
    // 600 are allocated: in steps of two that would be 300.
    expect(core.calls.count('Query')).toBeLessThan(60);
  });

  it('refuses a cursor of another filter', async () => {
    const { cursor } = await list({ holderPrefix: 'student', limit: 5 });
    expect(cursor).toBeDefined();
    for (const other of [
      {},
      { holder: 'student' },
      { find: 'student' },
      { holderPrefix: 'student', lab: 'course' },
    ]) {
      expect(await refused(list({ ...other, cursor }))).toBe('INVALID_CURSOR');
    }
  });
});
