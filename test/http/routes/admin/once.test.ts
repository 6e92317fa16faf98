import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../../src/clock.ts';
import { effectKey } from '../../../../src/safety/effects/effect-key.ts';
import { createStoreClient } from '../../../../src/store/dynamo/client.ts';
import { createEffectRecords } from '../../../../src/store/shared/effects.ts';
import { cliJson } from '../../../cli/run-cli.ts';
import { startBrokerHere } from '../../../support/broker/broker-here.ts';
import { LOCAL_CREDENTIALS } from '../../../support/broker/core.ts';
import { describeOnEngines } from '../../../support/store/engines.ts';

const VIEWER = 'a-token-that-only-looks';
type Row = Record<string, unknown>;

/** The sandboxes that effects were about. */
const entities = (effects: Row[]): string[] =>
  effects.map(({ entity }) => String((entity as string[])[0])).sort();

/** Two deletes that needed a second attempt, and their records. */
async function deleteTwo(endpoint: string, table: string): Promise<string[]> {
  const client = createStoreClient({ endpoint, table, region: 'local', credentials: LOCAL_CREDENTIALS });
  onTestFinished(() => client.close());
  const records = createEffectRecords(client, systemClock, randomUUID);
  const ids = ['sim-0001', 'sim-0002'];
  for (const id of ids) {
    const pk = effectKey({ type: 'csp_delete', entity: [id, 'a-lease'], generation: 1 });
    const taken = await records.take(pk, { leaseMs: 1_000, ttlMs: 3_600_000 });
    if (taken.type === 'taken') await records.complete(taken.hold, 'recycled');
  }
  return ids;
}

describeOnEngines('what must happen once', ({ endpoint }) => {
  test('is listed by state and type, page by page, and looked at one by one', async () => {
    const here = await startBrokerHere(endpoint, { BROKER_VIEWER_TOKEN: VIEWER });
    const deleted = await deleteTwo(endpoint, here.table);
    const list = async (query: string) => (await here.asAdmin('GET', `/v1/admin/effects?${query}`)).json;
    const all = (await list('type=csp_delete'))['effects'] as Row[];
    expect(entities(all)).toEqual(deleted);
    expect(all[0]).toMatchObject({ type: 'csp_delete', state: 'completed', holders: 1, result: 'recycled' });
    expect(await list('state=in_progress')).toEqual({ effects: [], count: 0 });
    expect(await list('type=external_call')).toEqual({ effects: [], count: 0 });

    const paged: Row[] = [];
    let cursor = '';
    do {
      const page = await list(`state=completed&limit=1${cursor}`);
      paged.push(...(page['effects'] as Row[]));
      expect(page['count']).toBeLessThanOrEqual(1);
      cursor = page['cursor'] === undefined ? '' : `&cursor=${page['cursor']}`;
      if (cursor === '') break;
      expect((await list(`limit=1${cursor}`)).error?.code, 'of another query').toBe('INVALID_CURSOR');
    } while (paged.length < 10);
    expect(entities(paged)).toEqual(deleted);

    const one = await here.asAdmin('GET', `/v1/admin/effects/${all[0]?.['id']}`);
    expect(one.json).toEqual(all[0]);
    for (const key of ['effect:%22csp_delete%22:%22nobody%22:1', 'JOBSTAT', 'effect:']) {
      const id = Buffer.from(key).toString('base64url');
      const none = await here.asAdmin('GET', `/v1/admin/effects/${id}`);
      expect([none.status, none.json.error?.code]).toEqual([404, 'EFFECT_NOT_FOUND']);
    }
    for (const [token, status] of [
      [VIEWER, 200],
      ['dev-track-token', 403],
    ] as const) {
      const headers = { authorization: `Bearer ${token}` };
      expect((await here.asAdmin('GET', '/v1/admin/effects', undefined, headers)).status).toBe(status);
      expect((await here.asAdmin('GET', '/v1/admin/idempotency', undefined, headers)).status).toBe(status);
    }
    const { result } = await cliJson<{ effects: Row[] }>(['effects', '--type', 'csp_delete'], {
      env: { BROKER_URL: here.url },
    });
    expect(result).toMatchObject({ count: 2, more: false, effects: [{ state: 'completed' }, {}] });
  });

  test('counts hits and conflicts of keys, and lists them without what would let somebody use them', async () => {
    const here = await startBrokerHere(endpoint);
    const keyed = { 'idempotency-key': 'an-operators-key' };
    const operator = (path: string) => here.asAdmin('POST', path, undefined, keyed);
    await operator('/v1/admin/expire');
    await operator('/v1/admin/expire');
    expect((await operator('/v1/admin/sync')).status).toBe(422);
    await here.asTrack('POST', '/v1/allocate', 'holder-1');
    const lease = await here.asTrack('POST', '/v1/allocate', 'holder-1');

    const { json } = await here.asAdmin('GET', '/v1/admin/idempotency');
    expect(json).toMatchObject({
      requests: { executed: 1, replayed: 1, other_request: 1, in_progress: 0, not_kept: 0, unstored: 0 },
      leases: { granted: 1, replayed: 1, refused: 0 },
      count: 2,
    });
    expect(json['keys']).toContainEqual(
      expect.objectContaining({
        kind: 'request',
        state: 'done',
        operation: 'POST /v1/admin/expire',
        answer_status: 200,
      }),
    );
    expect(json['keys']).toContainEqual(
      expect.objectContaining({
        kind: 'lease',
        state: 'leased',
        sandbox_id: lease.json['sandbox_id'],
        chosen: false,
      }),
    );
    expect(JSON.stringify(json)).not.toMatch(/an-operators-key|holder-1|fingerprint|attempt/);

    const of = async (query: string) =>
      ((await here.asAdmin('GET', `/v1/admin/idempotency?${query}`)).json['keys'] as Row[]).map(
        ({ kind }) => kind,
      );
    expect([await of('kind=request'), await of('kind=lease')]).toEqual([['request'], ['lease']]);
    expect((await here.asAdmin('GET', '/v1/admin/idempotency?kind=all')).status).toBe(400);
    const { result } = await cliJson(['idempotency', '--kind', 'lease'], { env: { BROKER_URL: here.url } });
    expect(result).toMatchObject({ leases: { granted: 1, replayed: 1 }, count: 1 });
  });
});
