import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { OldEntry } from '../../src/store/old-table.ts';
import { createImports } from '../../src/store/sandboxes/imports.ts';
import { type MigrationReport, migrateTable } from '../../src/usecases/migrate-table.ts';
import { startCore, TERMS } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { injectFaults, loseAnswer } from '../support/store/injected-faults.ts';
import { readTable } from '../support/store/table-audit.ts';

const BUCKETS = 4;
const PAGES = 3;
const ON_A_PAGE = 20;

describeOnFastEngine('a copy that is interrupted', ({ endpoint }) => {
  test('goes on where it was when it is run again, and writes nothing twice', async () => {
    const core = await startCore(endpoint, { buckets: BUCKETS });
    onTestFinished(() => core.close());
    const pages = Array.from({ length: PAGES }, (_, page) =>
      Array.from({ length: ON_A_PAGE }, (_, index): OldEntry => {
        const id = `old-${page}-${index}`;
        const allocatedAt = Math.floor(core.clock.nowMs() / 1000);
        const record = { sandboxId: id, name: id, externalId: `ext/${id}`, metadata: {} };
        return { id, record: { ...record, status: 'allocated', holder: `holder-${id}`, allocatedAt } };
      }),
    );
    const run = (signal: AbortSignal, afterPage: () => void = () => undefined): Promise<MigrationReport> =>
      migrateTable({
        entries: async function* () {
          for (const page of pages) {
            yield page;
            afterPage();
          }
        },
        imports: createImports(core.client, BUCKETS, randomUUID),
        keyPkOf: (holder) => `I#${holder}`,
        clock: core.clock,
        newId: randomUUID,
        terms: TERMS,
      })({ apply: true }, signal);

    // One of the writes arrives, and nobody learns of it.
    injectFaults(core.client).next('TransactWriteItems', loseAnswer);
    const interrupted = new AbortController();
    await expect(run(interrupted.signal, () => interrupted.abort(new Error('enough')))).rejects.toThrow();

    const calm = new AbortController().signal;
    expect(await run(calm)).toEqual({
      read: PAGES * ON_A_PAGE,
      copied: { allocated: (PAGES - 1) * ON_A_PAGE },
      there: ON_A_PAGE,
      problems: [],
    });
    expect(await run(calm)).toMatchObject({ copied: {}, there: PAGES * ON_A_PAGE, problems: [] });

    const items = await readTable(core.client);
    const pairs = (prefix: string, sandboxId: string) =>
      items
        .filter(({ pk }) => String(pk).startsWith(prefix))
        .map((item) => `${item[sandboxId]} ${item['lease_id']}`)
        .sort();
    // Each sandbox, its key and its one event are of the same lease.
    expect(pairs('B#', 'id')).toHaveLength(PAGES * ON_A_PAGE);
    expect(pairs('I#', 'sandbox_id')).toEqual(pairs('B#', 'id'));
    expect(pairs('H#', 'sandbox_id')).toEqual(pairs('B#', 'id'));
  });
});
