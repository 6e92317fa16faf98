import { expect, test } from 'vitest';
import type { ApiDocument } from '../../../src/http/openapi-document.ts';
import { asAdmin } from '../../support/broker/http-app.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { counted, JSON_TYPE, send, start } from './admin-idempotency-steps.ts';

describeOnFastEngine("an operator's request with a key", ({ endpoint }) => {
  test('is carried out once, and its repetition answered with the same', async () => {
    let number = 0;
    const { run, runs: counting } = counted(() => ({ created: ++number }));
    const app = await start(endpoint, { runs: counting });
    const first = await send(app);
    const second = await send(app);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.json).toMatchObject({ status: 'completed', created: 1 });
    expect(second.text).toBe(first.text);
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(run).toHaveBeenCalledTimes(1);
    expect(app.outcomes).toEqual(['executed', 'replayed']);
  });

  test('without a key is carried out every time, and the records are left alone', async () => {
    const { run, runs: counting } = counted(() => ({}));
    const app = await start(endpoint, { runs: counting });
    for (const _ of [1, 2]) await app.call('POST', '/v1/admin/sync', { headers: asAdmin() });
    expect(run).toHaveBeenCalledTimes(2);
    expect(app.storeCalls.count()).toBe(0);
  });

  test('answered with a job is answered with that job again, headers and all', async () => {
    const app = await start(endpoint);
    const first = await send(app, 'jobs', 'key-1', JSON_TYPE, '{"type":"purge"}');
    const second = await send(app, 'jobs', 'key-1', JSON_TYPE, '{"type":"purge"}');
    expect([second.status, second.text]).toEqual([202, first.text]);
    expect(second.headers.location).toBe(first.headers.location);
    expect(app.recorded.of('submitJob')).toHaveLength(1);
    const preferred = await send(app, 'cleanup', 'key-2', { prefer: 'respond-async' });
    const again = await send(app, 'cleanup', 'key-2', { prefer: 'respond-async' });
    expect([preferred.status, again.status]).toEqual([202, 202]);
    expect(again.headers['preference-applied']).toBe('respond-async');
  });

  test('that is not valid leaves its key free for the right one', async () => {
    const app = await start(endpoint);
    expect((await send(app, 'sync?force=perhaps')).status).toBe(400);
    expect((await send(app, 'sync?force=true')).status).toBe(200);
  });

  test.each(['', 'has space', 'x'.repeat(256), 'ümlaut'])(
    'has to have a usable key: "%s" is 400',
    async (key) => {
      const app = await start(endpoint);
      const answer = await send(app, 'sync', key);
      expect(answer.status).toBe(400);
      expect(answer.json.error?.details?.fields?.[0]).toMatchObject({
        in: 'header',
        name: 'Idempotency-Key',
      });
      expect(app.recorded.of('sync')).toEqual([]);
    },
  );

  test('needs a token before anything else: nobody learns of keys without one', async () => {
    const app = await start(endpoint);
    await send(app);
    const stranger = await app.call('POST', '/v1/admin/sync', { headers: { 'idempotency-key': 'key-1' } });
    expect([stranger.status, stranger.headers['idempotency-replayed']]).toEqual([401, undefined]);
  });

  test('is described for every one of them, and for nothing else', async () => {
    const app = await start(endpoint);
    const document = app.app.swagger() as unknown as ApiDocument;
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const text = JSON.stringify(operation);
        const isTracks = path === '/v1/sandboxes/{id}/extend';
        const isKeyed = method === 'post' && (path.startsWith('/v1/admin/') || isTracks);
        const named = `${method} ${path}`;
        expect(text.includes('#/components/parameters/Idempotency-Key'), named).toBe(isKeyed);
        expect(text.includes('"IDEMPOTENCY_IN_PROGRESS":'), named).toBe(isKeyed);
        if (path !== '/v1/allocate') expect(text.includes('Idempotency-Replayed'), named).toBe(isKeyed);
      }
    }
    expect(document.paths['/v1/admin/jobs']?.post?.requestBody?.required).toBe(true);
    expect(document.paths['/v1/admin/sync']?.post?.requestBody?.required).toBe(false);
  });
});
