import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { setUp, TOKEN } from '../support/provider/csp-provider.ts';
import { account } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { cli, cliJson } from './run-cli.ts';

const TOKENS = { BROKER_API_TOKEN: 'track-token-of-a-test', BROKER_ADMIN_TOKEN: 'admin-token-of-a-test' };
/** The broker's own helper comes with the development tokens. */
const ROTATING = {
  BROKER_API_TOKEN: `dev-track-token,${TOKENS.BROKER_API_TOKEN}`,
  BROKER_ADMIN_TOKEN: `dev-admin-token,${TOKENS.BROKER_ADMIN_TOKEN}`,
};
const NOWHERE = 'http://127.0.0.1:9';

describeOnFastEngine('the command line', ({ endpoint }) => {
  test('a holder gets one sandbox, asks again, and gives it back; an operator takes back anybody’s', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '2' });
    const env = { BROKER_URL: here.url };
    const allocate = (holder: string) => cliJson(['allocate', '--holder', holder, '--lab', 'intro'], { env });
    const [one, two] = await Promise.all([allocate('student-1'), allocate('student-2')]);
    expect(one.result).toMatchObject({ holder: 'student-1', replayed: false, name: expect.any(String) });
    const [again, empty, listed] = await Promise.all([
      allocate('student-1'),
      cli(['allocate', '--holder', 'student-3', '--json'], { env }),
      cli(['list', '--holder-prefix', 'student-', '--status', 'allocated'], { env }),
    ]);
    expect(again.result).toMatchObject({ sandbox_id: one.result['sandbox_id'], replayed: true });
    expect(empty).toMatchObject({ code: 3, stdout: '' });
    expect(JSON.parse(empty.stderr)).toMatchObject({ error: { code: 'NO_SANDBOXES_AVAILABLE' } });
    expect(listed.stdout.split('\n')[0]).toMatch(/^ID +NAME +STATUS +HOLDER +LAB +EXPIRES$/);
    expect(listed.stdout).toMatch(/student-1 +intro +20\d\d-/);
    const [id1, id2] = [String(one.result['sandbox_id']), String(two.result['sandbox_id'])];
    const [stranger, nobody, holder, operator] = await Promise.all([
      cli(['release', id1, '--holder', 'student-2'], { env }),
      cli(['release', id1], { env }),
      cliJson(['release', id1, '--holder', 'student-1'], { env }),
      cliJson(['release', id2, '--as-admin'], { env }),
    ]);
    expect(stranger).toMatchObject({ code: 3, stderr: expect.stringContaining('NOT_SANDBOX_OWNER') });
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('--as-admin') });
    expect([holder.result['status'], operator.result['status']]).toEqual([
      'pending_deletion',
      'pending_deletion',
    ]);
  });

  test('a holder takes several together, and gives them back one by one, or all of a key', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '3' });
    const env = { BROKER_URL: here.url };
    const command = ['allocate', '--holder', 'ci', '--key', 'build-7', '--count', '2'];
    const [taken, tooMany, waiting, wrong] = [
      await cliJson(command, { env }),
      await cli(['allocate', '--holder', 'other', '--count', '2'], { env }),
      await cli([...command, '--wait'], { env }),
      await cli(['allocate', '--holder', 'ci', '--count', '17'], { env }),
    ];
    expect(taken.result).toMatchObject({ count: 2, replayed: false });
    const leases = taken.result['leases'] as { sandbox_id: string; lease_id: string; holder: string }[];
    expect(leases).toMatchObject([{ holder: 'ci' }, { holder: 'ci' }]);
    expect(tooMany).toMatchObject({ code: 3, stderr: expect.stringContaining('only 1 are free') });
    expect(waiting).toMatchObject({ code: 2, stderr: expect.stringContaining('--count or --wait') });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('from 2 to 16') });
    const [one = '', two = ''] = leases.map(({ sandbox_id }) => sandbox_id);
    const release = ['release', '--holder', 'ci', '--key', 'build-7'];
    await cli(['release', one, '--holder', 'ci'], { env });
    const left = await cli(command, { env });
    expect(left).toMatchObject({ code: 0, stderr: '1 of 2 leases of this key are over.\n' });
    expect(left.stdout).toContain(two);
    expect(left.stdout).not.toContain(one);
    const [both, single, admin] = [
      await cliJson(release, { env }),
      await cli([...release, two], { env }),
      await cli([...release, '--as-admin', '--yes'], { env }),
    ];
    const marked = both.result['marked'] as { sandbox_id: string }[];
    expect(marked.map(({ sandbox_id }) => sandbox_id).sort()).toEqual([one, two].sort());
    expect([single.code, admin.code]).toEqual([2, 2]);
    expect(await cli(command, { env })).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringContaining('LEASE_OVER'),
    });
  });

  test('a holder asks for a time of its own, and extends it until the lease is over', async () => {
    const here = await startBrokerHere(endpoint);
    const env = { BROKER_URL: here.url };
    const { result } = await cliJson(['allocate', '--holder', 'ci', '--duration', '10m'], { env });
    const [id, leaseId] = [String(result['sandbox_id']), String(result['lease_id'])];
    expect(Number(result['expires_at']) - Number(result['allocated_at'])).toBe(600);
    const extend = ['extend', id, '--holder', 'ci', '--lease', leaseId];
    const [longer, wrong, toolong] = await Promise.all([
      cliJson([...extend, '--duration', '1h'], { env }),
      cli([...extend, '--duration', '90'], { env }),
      cli(['allocate', '--holder', 'other', '--duration', '25h'], { env }),
    ]);
    expect(Number(longer.result['expires_at'])).toBeGreaterThanOrEqual(
      Number(result['allocated_at']) + 3_600,
    );
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('90s, 10m, 2h or 1d') });
    expect(toolong).toMatchObject({ code: 3, stderr: expect.stringContaining('at most 86400') });
    const [byOperator, whose] = await Promise.all([
      cliJson(['extend', id, '--operator', '--lease', leaseId, '--duration', '2h'], { env }),
      cli(['extend', id, '--duration', '2h'], { env }),
    ]);
    expect(byOperator.result).toMatchObject({ status: 'allocated', allocated_to_track: 'ci' });
    expect(Number(byOperator.result['expires_at'])).toBeGreaterThanOrEqual(
      Number(result['allocated_at']) + 7_200,
    );
    expect(whose).toMatchObject({ code: 2, stderr: expect.stringContaining('--operator') });
    await here.asAdmin('POST', `/v1/admin/sandboxes/${id}/release`);
    const late = await cli([...extend, '--duration', '1h'], { env });
    expect(late).toMatchObject({ code: 3, stderr: expect.stringContaining('LEASE_OVER') });
  });

  test('a holder reports a broken sandbox, and has another one instead, once', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '3' });
    const env = { BROKER_URL: here.url };
    const held = (await cliJson(['allocate', '--holder', 'a'], { env })).result;
    const report = [
      'report',
      String(held['sandbox_id']),
      '--holder',
      'a',
      '--reason',
      'no network',
      '--replace',
    ];
    const [unsaid, wrong, first] = await Promise.all([
      cli(['report', String(held['sandbox_id']), '--holder', 'a'], { env }),
      cli([...report, '--lease', 'another'], { env }),
      cliJson(report, { env }),
    ]);
    expect(unsaid).toMatchObject({ code: 2, stderr: expect.stringContaining('--reason') });
    expect(wrong).toMatchObject({ code: 3, stderr: expect.stringContaining('LEASE_OVER') });
    expect(first.result).toMatchObject({ status: 'quarantined', replacement: { name: expect.any(String) } });
    const again = await cliJson(report, { env });
    expect(again.result).toEqual(first.result);
    const nothing = await cliJson(
      [
        ...report.slice(0, 1),
        String((first.result['replacement'] as { sandbox_id: string }).sandbox_id),
        ...report.slice(2),
        '--prefix',
        'none-',
      ],
      { env },
    );
    expect(nothing.result).toMatchObject({ place: { status: 'waiting', position: 1 } });
  });

  test('an operator takes a sandbox out of the pool, and puts it back', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const env = { BROKER_URL: here.url };
    const held = (await cliJson(['allocate', '--holder', 'a'], { env })).result;
    const id = String(held['sandbox_id']);
    const keep = (...more: string[]) => ['quarantine', id, '--reason', 'disk errors', ...more];
    const [unsaid, wrong, marked] = await Promise.all([
      cli(['quarantine', id], { env }),
      cli(keep('--lease', 'another'), { env }),
      cliJson(keep('--lease', String(held['lease_id'])), { env }),
    ]);
    expect(unsaid).toMatchObject({ code: 2, stderr: expect.stringContaining('--reason') });
    expect(wrong).toMatchObject({ code: 3, stderr: expect.stringContaining('LEASE_OVER') });
    expect(marked.result).toMatchObject({ status: 'allocated', quarantine_reason: 'disk errors' });
    expect((await cliJson(keep('--end-lease'), { env })).result).toMatchObject({ status: 'quarantined' });
    const [listed, stats] = await Promise.all([
      cliJson(['list', '--status', 'quarantined'], { env }),
      cliJson(['stats'], { env }),
    ]);
    expect(listed.result).toMatchObject({ count: 1, sandboxes: [{ sandbox_id: id }] });
    expect(stats.result).toMatchObject({ quarantined: 1, allocated: 0, total: 1 });
    const back = await cli(['restore', id], { env });
    expect(back).toMatchObject({ code: 0, stdout: expect.stringContaining('pending_deletion') });
  });

  test('a sandbox is shown by its id, its name or its holder; several that are meant are listed', async () => {
    const here = await startBrokerHere(endpoint, ROTATING);
    const env = { ...TOKENS, BROKER_URL: here.url };
    const { result } = await cliJson(['allocate', '--holder', 'student-1'], { env });
    const id = String(result['sandbox_id']);
    const name = String(result['name']);
    const [exact, byHolder, byId, byName, several, none] = await Promise.all([
      cliJson(['list', '--holder', 'student-1'], { env }),
      cliJson(['show', 'student-1'], { env }),
      cli(['show', id], { env }),
      cli(['history', name], { env }),
      cliJson<{ count: number }>(['show', 'lab-'], { env }),
      cli(['show', 'student-'], { env }),
    ]);
    expect(exact.result).toMatchObject({ count: 1, sandboxes: [{ sandbox_id: id }], more: false });
    const leased = expect.objectContaining({ action: 'allocate' });
    expect(byHolder.result).toMatchObject({ sandbox_id: id, history: expect.arrayContaining([leased]) });
    expect(byId.stdout).toMatch(/AT +ACTION +ACTOR/);
    expect(byId.stdout).toMatch(/allocate +track/);
    expect(byName.stdout).toMatch(/^AT +ACTION .* CORRELATION\n/);
    expect(byName.stdout).toMatch(/ allocate +track\S* .* student-1 /);
    expect(several).toMatchObject({
      code: 1,
      result: { count: 5 },
      stderr: expect.stringContaining('by its id'),
    });
    expect(none).toMatchObject({ code: 3, stdout: '' });
  });

  test('a key whose lease is over is a refusal, and nothing for a script to take for a sandbox', async () => {
    const here = await startBrokerHere(endpoint);
    const env = { BROKER_URL: here.url };
    const command = ['allocate', '--holder', 'ci', '--key', 'build-7'];
    const { result } = await cliJson(command, { env });
    await cli(['release', String(result['sandbox_id']), '--holder', 'ci'], { env });
    const late = await cli([...command, '--json'], { env });
    expect(late).toMatchObject({ code: 3, stdout: '' });
    expect(JSON.parse(late.stderr)).toMatchObject({ error: { code: 'LEASE_OVER' } });
  });

  test('runs are jobs that it waits for, and lists; alerts and counts are there to see', async () => {
    const here = await startBrokerHere(endpoint, ROTATING);
    const env = { ...TOKENS, BROKER_URL: here.url };
    const [cleanup, retried, submitted] = await Promise.all([
      cliJson(['cleanup'], { env }),
      cliJson(['retry-deletions', '--prefix', 'lab-'], { env }),
      cli(['sync', '--force', '--no-wait'], { env }),
    ]);
    expect(cleanup).toMatchObject({ code: 0, result: { status: 'completed', type: 'cleanup' } });
    expect(retried).toMatchObject({ code: 0, result: { status: 'completed', found: 0, failed: 0 } });
    expect(submitted.stdout).toMatch(/^[\w-]+\n$/);
    const [jobs, alerts, stats] = await Promise.all([
      cliJson<{ jobs: { job_id: string; type: string }[] }>(['jobs', '--limit', '5'], { env }),
      cliJson(['alerts', '--min-severity', 'info'], { env }),
      cli(['stats'], { env }),
    ]);
    expect(jobs.result.jobs.map(({ type }) => type).sort()).toEqual(['cleanup', 'sync']);
    expect(jobs.result.jobs.map(({ job_id }) => job_id)).toContain(submitted.stdout.trim());
    expect(alerts.result).toMatchObject({ count: expect.any(Number), source: 'all_replicas' });
    expect(stats.stdout).toMatch(/^total +5$/m);
  });

  test('the token comes from the environment or a file; a wrong one is a refusal that does not repeat it', async () => {
    const here = await startBrokerHere(endpoint, ROTATING);
    const file = join(await temporaryFolder(), 'token');
    await writeFile(file, `${TOKENS.BROKER_ADMIN_TOKEN},an-older-one\n`);
    const url = ['--url', here.url];
    const [byFile, wrong, none, missing] = await Promise.all([
      cli(['stats', ...url, '--token-file', file]),
      cli(['stats', ...url], { env: { BROKER_ADMIN_TOKEN: 'some-wrong-token' } }),
      cli(['stats', ...url], { env: { NODE_ENV: 'production' } }),
      cli(['stats', ...url, '--token-file', `${file}.gone`]),
    ]);
    expect(byFile.code).toBe(0);
    expect(wrong).toMatchObject({ code: 3, stderr: expect.stringContaining('UNAUTHORIZED') });
    expect(wrong.stderr).not.toContain('some-wrong-token');
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('BROKER_ADMIN_TOKEN is not set') });
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot be read') });
  });
});

describeOnFastEngine('the command line, where a run fails', ({ endpoint }) => {
  test('says so, with the job and why', async () => {
    const { csp } = await setUp();
    csp.add(account());
    const here = await startBrokerHere(endpoint, {
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: TOKEN,
      RETRY_MAX_RETRIES: '0',
    });
    csp.faults.add('list', { kind: 'respond', status: 500 }, { times: Number.POSITIVE_INFINITY });
    const { code, result, stderr } = await cliJson(['sync'], { env: { BROKER_URL: here.url } });
    expect({ code, result }).toMatchObject({
      code: 1,
      result: { status: 'failed', error: { code: 'PROVIDER_UNAVAILABLE' } },
    });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { message: expect.stringContaining('The job failed') },
    });
  });
});

describe('without a broker', () => {
  test('nobody answers: 4; wrong usage: 2, and a hint; help: 0', async () => {
    const [silent, unknown, badNumber, badChoice, badUrl, help] = await Promise.all([
      cli(['stats', '--url', NOWHERE, '--timeout', '1']),
      cli(['statz']),
      cli(['list', '--limit', '1e3']),
      cli(['list', '--status', 'free']),
      cli(['stats', '--url', 'broker:80'], { env: TOKENS }),
      cli(['release', '--help']),
    ]);
    expect(silent).toMatchObject({ code: 4, stderr: expect.stringContaining('UNREACHABLE') });
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('Did you mean stats?') });
    expect(badNumber).toMatchObject({ code: 2, stderr: expect.stringContaining('from 1 to 100000') });
    expect(badChoice).toMatchObject({ code: 2, stderr: expect.stringContaining('deletion_failed') });
    expect(badUrl).toMatchObject({ code: 2, stderr: expect.stringContaining('url must be http(s)://') });
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('$ sandbox-broker release') });
  });

  test('every command’s help has an example, and the program’s tells its exit codes', async () => {
    const { createProgram } = await import('../../src/cli/program.ts');
    const program = createProgram('1.0.0');
    const helpOf = (command: typeof program): string => {
      let text = '';
      command
        .configureOutput({
          writeOut: (part) => {
            text += part;
          },
        })
        .outputHelp();
      return text;
    };
    const leaves = program.commands.flatMap((each) => (each.commands.length > 0 ? each.commands : [each]));
    expect(leaves.length).toBeGreaterThan(14);
    for (const each of leaves) expect(helpOf(each), each.name()).toMatch(/Examples?(, in .*)?:\n {2}[$e]/);
    expect(helpOf(program)).toMatch(/Exit codes:\n {2}0 {2}done/);
  });
});
