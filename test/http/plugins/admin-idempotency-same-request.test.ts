import { expect, test } from 'vitest';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { JSON_TYPE, send, start } from './admin-idempotency-steps.ts';

describeOnFastEngine("an operator's request with a key", ({ endpoint }) => {
  test.each([
    ['sync', 'sync?force=false', undefined, undefined],
    ['auto-delete-stale?grace_period_hours=24', 'auto-delete-stale', undefined, '{}'],
    [
      'jobs',
      'jobs',
      '{"type":"purge","options":{"grace_period_hours":24}}',
      '{ "options": {}, "type": "purge" }',
    ],
    ['sandboxes/a%3Ab/release', 'sandboxes/a:b/release', undefined, undefined],
  ])('%s and %s are the same request', async (path, same, body, sameBody) => {
    const app = await start(endpoint);
    const first = await send(app, path, 'key-1', body === undefined ? {} : JSON_TYPE, body);
    const second = await send(app, same, 'key-1', sameBody === undefined ? {} : JSON_TYPE, sameBody);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect([second.status, second.text]).toEqual([first.status, first.text]);
  });

  test.each([
    ['sync?force=true', undefined],
    ['cleanup', undefined],
    ['sandboxes/sbx-1/release', undefined],
    ['jobs', '{"type":"sync"}'],
  ])('is not to be confused with %s under the same key: 422', async (path, body) => {
    const app = await start(endpoint);
    await send(app);
    const other = await send(app, path, 'key-1', body === undefined ? {} : JSON_TYPE, body);
    expect([other.status, other.json.error?.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    expect(
      app.recorded.calls.some(([name]) => ['cleanup', 'releaseSandbox', 'submitJob'].includes(name)),
    ).toBe(false);
    expect(app.outcomes).toEqual(['executed', 'other_request']);
  });

  test('for one sandbox is not to be confused with the same for another', async () => {
    const app = await start(endpoint);
    expect((await send(app, 'sandboxes/sbx-1/release')).status).toBe(200);
    expect((await send(app, 'sandboxes/sbx-2/release')).status).toBe(422);
    expect(app.recorded.of('releaseSandbox')).toHaveLength(1);
  });
});
