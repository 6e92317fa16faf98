import { expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { setUp, TOKEN } from '../support/provider/csp-provider.ts';
import { account } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { cli, cliJson, hasTerminals, onTerminal } from './run-cli.ts';

describeOnFastEngine('many at once from the command line', ({ endpoint }) => {
  async function leased(holders: readonly string[]) {
    const here = await startBrokerHere(endpoint);
    for (const holder of holders) await here.asTrack('POST', '/v1/allocate', holder);
    const stillLeased = async () => {
      const { json } = await here.asAdmin('GET', '/v1/admin/sandboxes?status=allocated');
      const sandboxes = json['sandboxes'] as { allocated_to_track: string; name: string }[];
      return sandboxes.map(({ allocated_to_track }) => allocated_to_track).sort();
    };
    return { here, env: { BROKER_URL: here.url }, stillLeased };
  }

  test('leases are counted, and taken back when somebody has said so', async () => {
    const { env, stillLeased } = await leased(['exam-1', 'exam-2', 'other']);
    const filter = ['release', '--as-admin', '--holder-prefix', 'exam-'];
    const [counted, unasked, whichever, lone] = await Promise.all([
      cli([...filter, '--count'], { env }),
      cli(filter, { env }),
      cli(['release', '--as-admin'], { env }),
      cli(['release', '--holder', 'exam-1'], { env }),
    ]);
    expect(counted).toMatchObject({ code: 0, stdout: '2\n' });
    expect(unasked).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('End 2 leases') });
    expect(whichever).toMatchObject({ code: 2, stderr: expect.stringContaining('--all') });
    expect(lone).toMatchObject({ code: 2, stderr: expect.stringContaining('Which sandbox?') });
    expect(await stillLeased()).toEqual(['exam-1', 'exam-2', 'other']);
    const done = await cliJson([...filter, '--yes'], { env });
    expect(done).toMatchObject({ code: 0, result: { found: 2, released: 2, skipped: 0, failed: 0 } });
    expect(await stillLeased()).toEqual(['other']);
  });

  test.skipIf(!hasTerminals)('on a terminal it asks, and takes nothing but a yes for one', async () => {
    const { env, stillLeased } = await leased(['a', 'b']);
    const command = ['release', '--as-admin', '--all'];
    const refused = await onTerminal(command, { env, stdin: '\n' });
    expect(refused.code).toBe(1);
    expect(refused.lines.join()).toMatch(/End 2 leases, whoever is working in the sandboxes\? \[y\/N\]/);
    expect(refused.lines.at(-1)).toContain('Nothing was done.');
    expect(await stillLeased()).toEqual(['a', 'b']);
    const agreed = await onTerminal(command, { env, stdin: 'y\n' });
    expect(agreed.code).toBe(0);
    expect(agreed.lines).toContain('released  2');
    expect(await stillLeased()).toEqual([]);
  });

  test('one is taken back by its name, bound to the lease that was seen; a part of a name is no order', async () => {
    const { here, env, stillLeased } = await leased(['a']);
    const { json } = await here.asAdmin('GET', '/v1/admin/sandboxes?status=allocated');
    const [{ name = '' } = {}] = json['sandboxes'] as { name?: string }[];
    const [part, otherLease] = await Promise.all([
      cli(['release', name.slice(0, -1), '--as-admin'], { env }),
      cli(['release', name, '--as-admin', '--lease', 'another'], { env }),
    ]);
    expect(part).toMatchObject({ code: 3, stderr: expect.stringContaining('No sandbox has') });
    expect(otherLease).toMatchObject({ code: 3, stderr: expect.stringContaining('LEASE_OVER') });
    expect(await stillLeased()).toEqual(['a']);
    expect(await cliJson(['release', name, '--as-admin'], { env })).toMatchObject({
      result: { name, status: 'pending_deletion' },
    });
  });

  test('failed deletions are tried again, one or all; records are removed when somebody has said so', async () => {
    const { csp } = await setUp();
    const accounts = [1, 2, 3].map((number) => account({ name: `lab-${number}` }));
    for (const each of accounts) csp.add(each);
    const here = await startBrokerHere(endpoint, {
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: TOKEN,
      DELETION_RETRY_MAX_ATTEMPTS: '1',
      BREAKER_FAILURES: '100',
    });
    const env = { BROKER_URL: here.url };
    csp.faults.add('delete', { kind: 'respond', status: 422 }, { times: Number.POSITIVE_INFINITY });
    const failAll = async () => {
      await here.asAdmin('POST', '/v1/admin/release?all=true');
      await here.asAdmin('POST', '/v1/admin/cleanup');
    };
    for (const holder of ['a', 'b', 'c']) await here.asTrack('POST', '/v1/allocate', holder);
    await failAll();
    const [one, counted] = await Promise.all([
      cliJson(['retry-deletion', 'lab-2'], { env }),
      cli(['bulk-delete', '--status', 'deletion_failed'], { env }),
    ]);
    expect(one).toMatchObject({ code: 0, result: { name: 'lab-2', status: 'pending_deletion' } });
    expect(counted).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/Remove [23] records for good\?/),
    });
    const some = await cliJson(['retry-deletions', '--find', 'lab-1'], { env });
    expect(some.result).toMatchObject({ found: 1, retried: 1 });
    const removed = await cliJson(['bulk-delete', '--status', 'deletion_failed', '--yes'], { env });
    expect(removed.result).toMatchObject({ status: 'completed', deleted: 1 });
  });
});
