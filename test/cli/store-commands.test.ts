import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { cli, cliJson } from './run-cli.ts';

const csvOf = (numbers: number[]): string =>
  ['sandbox_id,name,external_id', ...numbers.map((n) => `sbx-${n},pool-${n},accounts/${n}`)].join('\n');

describeOnFastEngine('on the store itself', ({ endpoint }) => {
  test('the table is created once, described, and never by a look at it', async () => {
    const env = { DDB_ENDPOINT_URL: endpoint, DDB_TABLE_NAME: uniqueTable(), DDB_BUCKETS: '4' };
    const absent = await cliJson(['table', 'describe'], { env });
    expect(absent).toMatchObject({ code: 1, result: { exists: false } });
    expect(absent.stderr).toContain('sandbox-broker table create');
    expect((await cliJson(['table', 'describe'], { env })).result).toEqual(absent.result);
    const created = await cliJson(['table', 'create'], { env });
    expect(created).toMatchObject({
      code: 0,
      result: { exists: true, status: 'ACTIVE', buckets: 4, indexes: ['by_due', 'by_status'] },
    });
    const other = await cli(['table', 'create'], { env: { ...env, DDB_BUCKETS: '8' } });
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('laid out with 4 buckets') });
  });

  test('an import brings in what is new, leaves every record that is there', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'pool.csv');
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const env = {
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: here.table,
      DDB_BUCKETS: '4',
      BROKER_URL: here.url,
    };
    await writeFile(file, csvOf([1, 2]));
    const [rehearsed, bad] = await Promise.all([
      cliJson(['import', file, '--dry-run'], { env }),
      cli(['import', '-', '--format', 'csv'], { env, stdin: `${csvOf([7])}\nsbx 8,,x` }),
    ]);
    expect(rehearsed.result).toEqual({ read: 2, created: 0, kept: 0, dry_run: true });
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining('line 3: name is missing') });
    expect((await cliJson(['import', file], { env })).result).toMatchObject({ created: 2, kept: 0 });
    const lease = await here.asTrack('POST', '/v1/allocate', 'holder-1');
    expect(lease.status).toBe(201);
    // More than one transaction's worth, and what is leased among them.
    const all = csvOf(Array.from({ length: 140 }, (_, index) => index + 1));
    const again = await cliJson(['import', '-', '--format', 'csv'], { env, stdin: all });
    expect(again.result).toMatchObject({ read: 140, created: 138, kept: 2 });
    expect((await here.asAdmin('GET', '/v1/admin/stats')).json).toMatchObject({ allocated: 1, total: 141 });
    const leased = `/v1/admin/sandboxes/${lease.json['sandbox_id']}`;
    expect((await here.asAdmin('GET', leased)).json).toMatchObject({ allocated_to_track: 'holder-1' });
    expect((await here.asAdmin('GET', '/v1/admin/sandboxes/sbx-140')).json).toMatchObject({
      status: 'available',
      history: [{ action: 'imported', actor: 'admin', to: 'available' }],
    });
  });

  test('an export gives it all back, as often as its quota allows', async () => {
    const folder = await temporaryFolder();
    const here = await startBrokerHere(endpoint, {
      SIMULATED_POOL_SIZE: '141',
      SANDBOX_DATA_EXPORT_LIMIT: '2',
    });
    const env = { BROKER_URL: here.url };
    const lease = await here.asTrack('POST', '/v1/allocate', 'holder-1');
    const output = join(folder, 'all.csv');
    const [asCsv, asJson, half] = await Promise.all([
      cli(['export', '--format', 'csv', '--output', output], { env }),
      cli(['export'], { env }),
      cli(['export', '--output', join(folder, 'half.json')], {
        env: { ...env, BROKER_ADMIN_TOKEN: 'wrong' },
      }),
    ]);
    expect([asCsv, asJson.code, half.code]).toEqual([{ code: 0, stdout: '', stderr: '' }, 0, 3]);
    const { sandboxes, count } = JSON.parse(asJson.stdout) as {
      sandboxes: Record<string, unknown>[];
      count: number;
    };
    expect([sandboxes.length, count, new Set(sandboxes.map((each) => each['sandbox_id'])).size]).toEqual([
      141, 141, 141,
    ]);
    const lines = (await readFile(output, 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(142);
    expect(lines.find((line) => line.startsWith(`${lease.json['sandbox_id']},`))).toContain(
      ',allocated,holder-1,',
    );
    expect((await readdir(folder)).sort()).toEqual(['all.csv']);
    // Those two were as many as may be.
    const third = await cli(['export', '--output', join(folder, 'third.json')], { env });
    expect(third).toMatchObject({ code: 4, stderr: expect.stringContaining('QUOTA_EXCEEDED') });
    expect((await readdir(folder)).sort()).toEqual(['all.csv']);
  });
});
