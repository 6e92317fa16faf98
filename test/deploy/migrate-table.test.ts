import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { CreateTableCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { expect, onTestFinished, test } from 'vitest';
import { composeMigration } from '../../src/compose/migration.ts';
import type { MigrationReport } from '../../src/usecases/migrate-table.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { createCountingClient, uniqueTable } from '../support/broker/core.ts';
import { describeOnEngines, describeOnFastEngine } from '../support/store/engines.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/migrate-table.ts', import.meta.url));
const BUCKETS = '4';
const nowSeconds = Math.floor(Date.now() / 1000);
const HOUR = 3_600;

/** Old records as the Python broker writes them, what is none for it as an empty text, a NULL, or nothing. */
const OLD: Record<string, unknown>[] = [
  { sandbox_id: 'free-1', status: 'available', allocated_to_track: '', allocated_at: null },
  {
    sandbox_id: 'used-1',
    status: 'allocated',
    allocated_to_track: 'student-1',
    track_name: 'intro',
    allocated_at: nowSeconds - HOUR,
    expires_at: nowSeconds + 3 * HOUR,
    sfdc_account_id: 'sfdc-1',
  },
  // A second sandbox of one holder: the old broker had a race there.
  {
    sandbox_id: 'used-2',
    status: 'allocated',
    allocated_to_track: 'student-1',
    allocated_at: nowSeconds - HOUR + 0.5,
  },
  {
    sandbox_id: 'over-1',
    status: 'allocated',
    allocated_to_track: 'student-2',
    allocated_at: nowSeconds - 9 * HOUR,
    expires_at: nowSeconds - 5 * HOUR,
  },
  {
    sandbox_id: 'back-1',
    status: 'pending_deletion',
    allocated_to_track: 'student-3',
    allocated_at: nowSeconds - HOUR,
    deletion_requested_at: nowSeconds - 60,
  },
  { sandbox_id: 'fail-1', status: 'deletion_failed', deletion_retry_count: 2 },
  { sandbox_id: 'gone-1', status: 'stale' },
  { sandbox_id: 'odd-1', status: 'quarantined' },
  { sandbox_id: 'odd-2', status: 'allocated', allocated_at: nowSeconds },
  { sandbox_id: 'odd-3', status: 'allocated', allocated_to_track: 'student-4', allocated_at: Date.now() },
];
const COPIED = { available: 1, allocated: 3, pending_deletion: 1, deletion_failed: 1, stale: 1 };
const ODD = [
  { id: 'odd-1', problem: 'has the status "quarantined", which this broker does not know' },
  { id: 'odd-2', problem: 'is allocated to nobody' },
  { id: 'odd-3', problem: 'cannot be read: allocated_at' },
];
const byId = (problems: MigrationReport['problems']) =>
  [...problems].sort((a, b) => a.id.localeCompare(b.id));

/** The Python broker's table, with something in it that is no sandbox. */
async function oldTable(endpoint: string): Promise<string> {
  const table = uniqueTable();
  const { client } = createCountingClient(endpoint, table);
  onTestFinished(() => client.close());
  await client.raw.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'sk', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  const items = OLD.map((record) => ({
    pk: `SBX#${record['sandbox_id']}`,
    sk: 'META',
    name: `lab ${record['sandbox_id']}`,
    external_id: `identity/account/${record['sandbox_id']}`,
    ...record,
  }));
  for (const item of [...items, { pk: 'LOCK#sync', sk: 'META', owner: 'somebody' }]) {
    await client.raw.send(new PutItemCommand({ TableName: table, Item: marshall(item) }));
  }
  return table;
}

/** A broker whose provider lists one sandbox: the rest of its pool was migrated. */
async function newBroker(endpoint: string) {
  const env = { SIMULATED_POOL_SIZE: '1', DDB_BUCKETS: BUCKETS, DDB_TABLE_NAME: uniqueTable() };
  return await startBrokerHere(endpoint, env);
}

interface Detail {
  status: string;
  history: { action: string; actor: string }[];
}

describeOnEngines('the copy of the old table', ({ endpoint }) => {
  test('keeps who has what, tells what it does not understand, and may be made again', async () => {
    const fromTable = await oldTable(endpoint);
    const here = await newBroker(endpoint);
    const migrate = (apply: boolean) =>
      composeMigration({
        from: endpoint,
        fromTable,
        to: endpoint,
        toTable: here.table,
        buckets: BUCKETS,
        apply,
        signal: AbortSignal.timeout(30_000),
      });
    const detail = async (id: string) => {
      const { status, json } = await here.asAdmin('GET', `/v1/admin/sandboxes/${id}`);
      return status === 200 ? (json as unknown as Detail & Record<string, unknown>) : undefined;
    };

    const rehearsal = await migrate(false);
    expect(rehearsal).toMatchObject({ read: OLD.length, copied: COPIED, there: 0 });
    expect(byId(rehearsal.problems)).toEqual(ODD);
    expect(await detail('used-1')).toBeUndefined();

    const first = await migrate(true);
    expect(first).toMatchObject({ read: OLD.length, copied: COPIED, there: 0 });
    // Which of the two the holder is answered with depends on which was faster.
    expect(byId(first.problems).filter(({ id }) => !id.startsWith('used'))).toEqual(ODD);
    expect(first.problems.filter(({ id }) => id.startsWith('used'))).toEqual([
      { id: expect.any(String), problem: 'is a second one of its holder, who is answered with the first' },
    ]);

    const replay = await here.asTrack('POST', '/v1/allocate', 'student-1');
    expect(replay.status).toBe(200);
    expect(['used-1', 'used-2']).toContain(replay.json['sandbox_id']);
    expect(await detail('used-1')).toMatchObject({
      status: 'allocated',
      allocated_to_track: 'student-1',
      track_name: 'intro',
      allocated_at: nowSeconds - HOUR,
      expires_at: nowSeconds + 3 * HOUR,
      sfdc_account_id: 'sfdc-1',
      history: [{ action: 'migrated', actor: 'migration' }],
    });
    expect(await detail('used-2')).toMatchObject({ expires_at: nowSeconds + 3 * HOUR });
    expect(await detail('odd-1')).toBeUndefined();

    // Its holder gives it back, its time is over, and what was to be deleted is deleted.
    const mark = await here.asTrack('POST', '/v1/sandboxes/used-2/mark-for-deletion', 'student-1');
    expect(mark.status).toBe(200);
    expect((await here.asAdmin('POST', '/v1/admin/expire')).json).toMatchObject({ marked: 1 });
    await here.asAdmin('POST', '/v1/admin/cleanup');
    for (const id of ['used-2', 'over-1', 'back-1', 'fail-1']) {
      expect((await detail(id))?.status, id).toBe('deleted');
    }

    const second = await migrate(true);
    expect(second).toMatchObject({ copied: {}, there: 3 });
    expect(byId(second.problems)).toEqual(
      byId([
        ...ODD,
        ...['used-2', 'over-1'].map((id) => ({
          id,
          problem: 'is allocated in the old table and deleted in the new one, where it stays so',
        })),
        {
          id: 'back-1',
          problem: 'is pending_deletion in the old table and deleted in the new one, where it stays so',
        },
        {
          id: 'fail-1',
          problem: 'is deletion_failed in the old table and deleted in the new one, where it stays so',
        },
      ]),
    );
    expect((await detail('used-1'))?.history).toHaveLength(1);
  });
});

describeOnFastEngine('the command that copies the old table', ({ endpoint }) => {
  test('writes nothing unless it is told to, and ends with 2 when somebody has to look', async () => {
    const fromTable = await oldTable(endpoint);
    const here = await newBroker(endpoint);
    const run = (...more: string[]) =>
      new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
        const stores = ['--from', endpoint, '--to', endpoint, '--buckets', BUCKETS];
        const tables = ['--from-table', fromTable, '--to-table', here.table];
        execFile(process.execPath, [SCRIPT, ...stores, ...tables, ...more], (error, stdout, stderr) =>
          resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
        );
      });
    const rehearsal = await run();
    expect(rehearsal).toMatchObject({ code: 2, stderr: '' });
    expect(rehearsal.stdout).toContain('nothing is written without --apply');
    expect(rehearsal.stdout).toContain('  allocated: 3\n');
    expect(rehearsal.stdout).toContain('  odd-2 is allocated to nobody\n');
    expect((await here.asAdmin('GET', '/v1/admin/sandboxes?status=allocated')).json['count']).toBe(0);

    const { code, stdout } = await run('--apply', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ read: OLD.length, copied: COPIED });
    expect((await here.asAdmin('GET', '/v1/admin/sandboxes?status=allocated')).json['count']).toBe(3);

    const lost = await run('--to-table', `Absent-${randomUUID()}`, '--apply');
    expect(lost).toMatchObject({ code: 1, stdout: '' });
    expect(lost.stderr).toMatch(/^The table Absent-\S+ does not exist\./);
  });
});
