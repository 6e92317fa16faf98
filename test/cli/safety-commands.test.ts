import { expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { cli, cliJson } from './run-cli.ts';

describeOnFastEngine('the safety systems from the command line', ({ endpoint }) => {
  test('a breaker is held, reset, and shown as what it is', async () => {
    const here = await startBrokerHere(endpoint);
    const env = { BROKER_URL: here.url };
    const [held, unknown, wrong] = await Promise.all([
      cliJson(['breakers', 'override', 'csp_delete', 'open', '--for', '2h'], { env }),
      cli(['breakers', 'reset', 'csp_remove'], { env }),
      cli(['breakers', 'override', 'csp_delete', 'half_open', '--for', '2h'], { env }),
    ]);
    expect(held).toMatchObject({ code: 0, result: { state: 'open', override: { state: 'open' } } });
    expect(unknown).toMatchObject({ code: 3, stderr: expect.stringContaining('csp_list, csp_delete') });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('open, closed') });
    expect((await cli(['breakers'], { env })).stdout).toMatch(/^csp_delete +open .* open until 20\d\d-/m);
    const reset = await cliJson(['breakers', 'reset', 'csp_delete'], { env });
    expect(reset.result).toMatchObject({ state: 'closed', failures: 0 });
    expect(reset.result['override']).toBeUndefined();
  });

  test('a quota is set, shown, and reset', async () => {
    const here = await startBrokerHere(endpoint);
    const env = { BROKER_URL: here.url };
    const [none, wrong] = await Promise.all([
      cliJson(['quota', 'set', 'data_export', 'none'], { env }),
      cli(['quota', 'set', 'csp_delete', 'many'], { env }),
    ]);
    expect(none).toMatchObject({ code: 0, result: { max_actions: null, overridden: true } });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('whole number from 0') });
    const set = await cliJson(['quota', 'set', 'data_export', '7', '--window', '2h'], { env });
    expect(set.result).toMatchObject({ max_actions: 7, window_seconds: 7_200 });
    expect((await cli(['quota'], { env })).stdout).toMatch(/^data_export +0 +7 +7200 s .* an operator$/m);
    const reset = await cliJson(['quota', 'reset', 'data_export'], { env });
    expect(reset.result).toMatchObject({ max_actions: 10, overridden: false });
  });

  test('what else there is to look at has a command of its own', async () => {
    const here = await startBrokerHere(endpoint);
    const env = { BROKER_URL: here.url };
    const looks = ['readiness', 'runtime', 'heartbeats', 'retries', 'metrics-guard', 'whoami'];
    const [readiness, runtime, heartbeats, retries, guard, who] = await Promise.all(
      looks.map((name) => cli([name], { env })),
    );
    expect(readiness?.stdout).toMatch(/^verdict +GO\n\nCHECK[\s\S]*\ndynamodb +ok +-$/m);
    expect(runtime?.stdout).toMatch(/^conditional_writes +ok +\S/m);
    expect(heartbeats?.stdout).toMatch(/^sync +yes +ok +20\d\d-/m);
    expect(retries?.stdout).toMatch(/^retried +0$/m);
    expect(guard?.stdout).toMatch(/^METRIC +LABEL +VALUES/m);
    expect(who?.stdout).toMatch(/^can_change +true$/m);
  });

  test('a dry run tells what it held back; leases end, records go, by hand', async () => {
    const here = await startBrokerHere(endpoint, { DRY_RUN: 'true' });
    const env = { BROKER_URL: here.url };
    await here.asTrack('POST', '/v1/allocate', 'somebody');
    await here.asAdmin('POST', '/v1/admin/release?all=true');
    const [expired, purged, cleaned] = await Promise.all(
      [['expire'], ['purge', '--grace-hours', '0'], ['cleanup']].map((run) => cliJson(run, { env })),
    );
    expect(expired).toMatchObject({ code: 0, result: { type: 'expire', status: 'completed' } });
    expect(purged).toMatchObject({ code: 0, result: { type: 'purge', options: { grace_period_hours: 0 } } });
    expect(cleaned).toMatchObject({ code: 0, result: { type: 'cleanup', dry_run: true } });
    const [log, job] = await Promise.all([
      cli(['dry-run', '--action', 'csp_delete'], { env }),
      cli(['jobs', 'show', String(cleaned?.result['job_id'])], { env }),
    ]);
    expect(log.stdout).toMatch(
      /^dry_run +true\nstrict +false\n\nAT .*\n20\d\d\S+Z +csp_delete +dry_run_blocked /,
    );
    expect(job.stdout).toMatch(/^submitted_by +admin/m);
    expect(job.stdout).toMatch(/^ended_at +20\d\d-/m);
  });
});
