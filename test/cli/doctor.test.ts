import { describe, expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { setUp, TOKEN } from '../support/provider/csp-provider.ts';
import { account } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';
import { cli, cliJson } from './run-cli.ts';

interface Report {
  status: string;
  checks: { name: string; status: string; message: string }[];
}

const doctor = async (env: Record<string, string>) => {
  const { code, result } = await cliJson<Report>(['doctor', '--timeout', '1'], { env });
  const of = (name: string) => result.checks.find((check) => check.name === name);
  return { code, result, of };
};

const NOWHERE = 'http://127.0.0.1:9';

describeOnFastEngine('the doctor', ({ endpoint }) => {
  test('finds nothing to mend where all is well, and says what is only for development', async () => {
    const here = await startBrokerHere(endpoint);
    const env = {
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: here.table,
      DDB_BUCKETS: '4',
      BROKER_URL: here.url,
    };
    const { code, result, of } = await doctor(env);
    expect(code).toBe(5);
    expect(result.checks.filter(({ status }) => status === 'error')).toEqual([]);
    for (const name of [
      'node',
      'configuration',
      'store',
      'table',
      'schema',
      'conditional_writes',
      'broker',
      'readiness',
      'broker clock',
      'track token',
      'admin token',
    ]) {
      expect(of(name), name).toMatchObject({ status: 'ok' });
    }
    expect(of('provider')).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('CSP_BASE_URL'),
    });
    expect(of('tokens')).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('BROKER_API_TOKEN'),
    });
    const [layout, tokens] = await Promise.all([
      doctor({ ...env, DDB_BUCKETS: '8' }),
      doctor({ ...env, BROKER_ADMIN_TOKEN: 'another-admin-token', BROKER_API_TOKEN: 'another-track-token' }),
    ]);
    expect(layout.code).toBe(1);
    expect(layout.of('table')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('set it to 4'),
    });
    expect(tokens.code).toBe(1);
    expect(tokens.of('admin token')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('UNAUTHORIZED'),
    });
    expect(tokens.of('track token')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('BROKER_API_TOKEN'),
    });
  });

  test("asks the broker how it serves and gets on with its provider, and not this shell's", async () => {
    const { csp } = await setUp();
    csp.add(account(), account());
    const here = await startBrokerHere(endpoint, {
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: TOKEN,
      RETRY_MAX_RETRIES: '0',
    });
    // Nothing of the broker's provider is known here.
    const env = {
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: here.table,
      DDB_BUCKETS: '4',
      BROKER_URL: here.url,
    };
    const well = await doctor(env);
    expect(well.of('provider')).toMatchObject({
      status: 'ok',
      message: "the broker's last sync listed 2 sandboxes",
    });
    expect(well.of('readiness')).toMatchObject({ status: 'ok' });

    for (const holder of ['a', 'b']) await here.asTrack('POST', '/v1/allocate', holder);
    csp.faults.add('list', { kind: 'respond', status: 403 });
    expect((await here.asAdmin('POST', '/v1/admin/sync')).status).toBe(502);
    await until(
      async () => String((await here.asAdmin('GET', '/readyz')).json['reasons']).includes('exhausted'),
      {
        what: 'the pool to be counted',
      },
    );
    const ill = await doctor(env);
    expect(ill.code).toBe(1);
    expect(ill.of('provider')).toMatchObject({
      status: 'error',
      message: "The broker's last sync failed (unauthorized): check CSP_API_TOKEN and its rights.",
    });
    expect(ill.of('readiness')).toMatchObject({
      status: 'warning',
      message: expect.stringMatching(/^It serves, but .*no sandbox is free \(2 allocated\)/),
    });
    const { stdout } = await cli(['status'], { env });
    expect(stdout).toMatch(/^verdict +serving, but$/m);
    expect(stdout).toMatch(/^reasons +.*exhausted/m);
    expect(stdout).toMatch(/^last_sync +unauthorized$/m);
  });

  test('names what is wrong with store and provider, and how to mend it', async () => {
    const { csp } = await setUp();
    csp.add(account(), account());
    const provider = { CSP_BASE_URL: csp.baseUrl, BROKER_URL: NOWHERE };
    const store = { DDB_ENDPOINT_URL: endpoint, DDB_TABLE_NAME: uniqueTable(), DDB_CREATE_TABLE: 'false' };
    const [absent, silent] = await Promise.all([
      doctor({ ...provider, ...store, CSP_API_TOKEN: TOKEN }),
      doctor({ ...provider, DDB_ENDPOINT_URL: NOWHERE, CSP_API_TOKEN: 'no-such-token' }),
    ]);
    expect(absent.of('table')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('table create'),
    });
    expect(absent.of('provider')).toMatchObject({ status: 'ok', message: 'it lists 2 sandboxes' });
    expect(absent.of('broker')).toMatchObject({
      status: 'warning',
      message: expect.stringContaining('does not answer'),
    });
    expect(silent.of('store')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('SANDBOX_DB_URL'),
    });
    expect(silent.of('provider')).toMatchObject({
      status: 'error',
      message: expect.stringContaining('CSP_API_TOKEN'),
    });
    expect([absent.code, silent.code]).toEqual([1, 1]);
    const looked = await cliJson(['table', 'describe'], { env: store });
    expect(looked.result).toMatchObject({ exists: false });
  });
});

describe('the doctor, of a configuration that cannot be used', () => {
  test('every variable is named, no secret is shown, and it ends with 1', async () => {
    const env = { PORT: 'eighty', CSP_API_TOKEN: 'a secret with spaces', BROKER_URL: NOWHERE };
    const { code, stdout, stderr } = await cli(['doctor', '--timeout', '1'], { env });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^configuration +error +PORT is "eighty"/m);
    expect(stdout).toMatch(/^configuration +error +CSP_API_TOKEN is not usable/m);
    expect(stdout + stderr).not.toContain('a secret');
  });
});
