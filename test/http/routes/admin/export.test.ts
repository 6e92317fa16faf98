import { Agent } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BrokerError } from '../../../../src/domain/errors.ts';
import { RESOURCES } from '../../../../src/domain/resilience/action.ts';
import { startBrokerHere } from '../../../support/broker/broker-here.ts';
import { availableSandbox, fakeAppDeps } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, startApp } from '../../../support/broker/http-app.ts';
import { describeOnFastEngine } from '../../../support/store/engines.ts';

const AUTHORIZED = { authorization: 'Bearer dev-admin-token' };

/** An app whose list has pages of one sandbox each; `failAt`: the page at which the store fails, from 1. */
async function appWithPages(names: string[], failAt = Number.POSITIVE_INFINITY) {
  const { useCases } = fakeAppDeps().deps;
  const asked: unknown[] = [];
  return {
    asked,
    ...(await startApp({
      useCases: {
        ...useCases,
        async listSandboxes({ cursor = '0', ...query }) {
          asked.push(query);
          const page = Number(cursor);
          if (page + 1 >= failAt) throw new BrokerError('STORE_UNAVAILABLE', 'The store does not answer.');
          const name = names[page];
          const sandboxes = name === undefined ? [] : [{ ...availableSandbox, id: `id-${page}`, name }];
          return { sandboxes, ...(page + 1 < names.length && { cursor: String(page + 1) }) };
        },
      },
    })),
  };
}

describe('GET /v1/admin/export', () => {
  test('is all pages in one file, in JSON or as RFC 4180 has it', async () => {
    const { call, asked } = await appWithPages(['plain', 'with "quotes", and\nmore']);
    const json = await call('GET', '/v1/admin/export?status=available', { headers: asAdmin() });
    expect(json.json).toMatchObject({ count: 2, sandboxes: [{ name: 'plain' }, { sandbox_id: 'id-1' }] });
    expect(json.headers['content-disposition']).toBe('attachment; filename="sandboxes.json"');
    expect(asked[0]).toMatchObject({ status: 'available' });
    const csv = await call('GET', '/v1/admin/export?format=csv', { headers: asAdmin() });
    expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8');
    expect(csv.text).toMatch(/^sandbox_id,name,external_id,/);
    expect(csv.text).toContain('\nid-1,"with ""quotes"", and\nmore",ext/1,,available,');
  });

  test('is well-formed of an empty pool, too', async () => {
    const { call } = await appWithPages([]);
    expect((await call('GET', '/v1/admin/export', { headers: asAdmin() })).json).toEqual({
      sandboxes: [],
      count: 0,
    });
  });

  test('is refused where the store does not answer, and breaks off where it stops to', async () => {
    const refused = await (await appWithPages(['a', 'b'], 1)).call('GET', '/v1/admin/export', {
      headers: asAdmin(),
    });
    expect([refused.status, refused.json.error?.code]).toEqual([503, 'STORE_UNAVAILABLE']);
    const { call } = await appWithPages(['a', 'b'], 2);
    await expect(call('GET', '/v1/admin/export', { headers: asAdmin() })).rejects.toThrow();
  });

  test('takes one use of its quota each, and a look at its headers none', async () => {
    const { call, recorded } = await appWithPages(['a']);
    await call('GET', '/v1/admin/export', { headers: asAdmin() });
    expect((await call('HEAD', '/v1/admin/export', { headers: asAdmin() })).status).toBe(405);
    expect((await call('GET', '/v1/admin/export?format=xml', { headers: asAdmin() })).status).toBe(400);
    const taken = recorded.of('governor.take').filter(([resource]) => resource === 'data_export');
    expect(taken).toEqual([['data_export', undefined]]);
  });
});

describeOnFastEngine('exports of a broker', ({ endpoint }) => {
  test('are rationed over all replicas, and no resource is shown that nothing takes', async () => {
    const one = await startBrokerHere(endpoint, {
      SANDBOX_DATA_EXPORT_LIMIT: '2',
      SIMULATED_POOL_SIZE: '300',
    });
    const two = await startBrokerHere(endpoint, {
      SANDBOX_DATA_EXPORT_LIMIT: '2',
      DDB_TABLE_NAME: one.table,
    });
    const { json } = await one.asAdmin('GET', '/v1/admin/export');
    expect([
      json['count'],
      new Set((json['sandboxes'] as { name: string }[]).map((each) => each.name)).size,
    ]).toEqual([300, 300]);
    expect((await two.asAdmin('GET', '/v1/admin/export?status=allocated')).json).toEqual({
      sandboxes: [],
      count: 0,
    });
    const refused = await one.asAdmin('GET', '/v1/admin/export');
    expect(refused.json.error).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      details: { resource: 'data_export' },
    });
    const { governor } = (await one.asAdmin('GET', '/v1/admin/status')).json;
    const shown = governor as { resource: string; current_actions: number }[];
    expect(shown.map(({ resource }) => resource)).toEqual([...RESOURCES]);
    expect(shown.find(({ resource }) => resource === 'data_export')).toMatchObject({
      current_actions: 2,
      denied_count: 1,
    });
    // Each of them is taken by something.
    await one.asTrack('POST', '/v1/allocate', 'holder-1');
    const used = new Map(
      ((await one.asAdmin('GET', '/v1/admin/governor')).json['resources'] as typeof shown).map((row) => [
        row.resource,
        row.current_actions,
      ]),
    );
    expect(used.get('allocate')).toBe(1);
    expect(used.get('api_call')).toBeGreaterThan(0);
  });

  test('end with the reader, and read no more', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '300' });
    const agent = new Agent();
    onTestFinished(() => agent.destroy());
    const { body } = await agent.request({
      origin: here.url,
      path: '/v1/admin/export',
      method: 'GET',
      headers: AUTHORIZED,
    });
    for await (const piece of body) {
      expect(String(piece)).toMatch(/^\{"sandboxes":\[/);
      break;
    }
    expect((await here.asAdmin('GET', '/v1/admin/stats')).status).toBe(200);
  });
});
