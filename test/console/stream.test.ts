import { expect, it, onTestFinished } from 'vitest';
import { createEventParser, type ServerEvent } from '../../src/console/page/broker/event-parser.ts';
import { createEventHub } from '../../src/live/event-hub.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { ADMIN_TOKEN, TRACK_TOKEN } from '../support/broker/fake-app-deps.ts';
import { startApp } from '../support/broker/http-app.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

/** Opens the stream over a real socket and reads it as the page does. */
async function listen(url: string, headers: Record<string, string>) {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const response = await fetch(`${url}/v1/admin/stream`, { headers, signal: stop.signal });
  const events: ServerEvent[] = [];
  let isOver = false;
  const read = async () => {
    const parse = createEventParser((event) => events.push(event));
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) parse(decoder.decode(bytes, { stream: true }));
  };
  void read()
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
    });
  return {
    response,
    events,
    isOver: () => isOver,
    leave: () => stop.abort(),
    heard: (what: string, matches: (type: string, data: Record<string, unknown>) => boolean) =>
      until(() => events.find(({ type, data }) => matches(type, JSON.parse(data))), { what }),
  };
}

const asAdmin = { authorization: `Bearer ${ADMIN_TOKEN}` };

it('is for operators, has no body for HEAD, and tells proxies to pass it on at once', async () => {
  const { call, port } = await startApp();
  const url = `http://127.0.0.1:${port}`;
  expect((await call('GET', '/v1/admin/stream')).status).toBe(401);
  expect((await call('GET', '/v1/admin/stream', { headers: { authorization: 'Bearer x' } })).status).toBe(
    401,
  );
  const asTrack = { authorization: `Bearer ${TRACK_TOKEN}` };
  expect((await call('GET', '/v1/admin/stream', { headers: asTrack })).status).toBe(403);
  expect((await call('HEAD', '/v1/admin/stream', { headers: asAdmin })).status).toBe(405);
  const { response, heard } = await listen(url, asAdmin);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('x-accel-buffering')).toBe('no');
  await heard('the greeting', (type) => type === 'hello');
});

it('is forgotten when the client goes, and counted with the time to its beginning', async () => {
  const hub = createEventHub({ name: 'here', maxStreams: 1 });
  const live = {
    series: { samples: () => [], sinceMs: 0, capacity: 1 },
    sampleIntervalMs: 1_000,
    events: hub,
    greeting: () => [],
  };
  const { port, recorded, call } = await startApp({ live });
  const first = await listen(`http://127.0.0.1:${port}`, asAdmin);
  await first.heard('the greeting', (type) => type === 'hello');
  const refused = await call('GET', '/v1/admin/stream', { headers: asAdmin });
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '10']);
  recorded.calls.length = 0;
  first.leave();
  await until(() => hub.size === 0, { what: 'the stream to be forgotten' });
  await until(() => recorded.of('metrics.request').length > 0, { what: 'the count' });
  expect(recorded.of('metrics.request')).toMatchObject([
    ['GET', '/v1/admin/stream', 200, expect.any(Number)],
  ]);
});

it('ends when the broker does, which does not wait for it', async () => {
  const { app, port } = await startApp();
  const stream = await listen(`http://127.0.0.1:${port}`, asAdmin);
  await stream.heard('the greeting', (type) => type === 'hello');
  await app.close();
  await until(stream.isOver, { what: 'the end of the stream' });
});

describeOnFastEngine('the news of a broker', ({ endpoint }) => {
  const headers = { authorization: 'Bearer dev-admin-token' };
  it('tell of leases, counts, jobs with their progress, and alerts, as they happen', async () => {
    const here = await startBrokerHere(endpoint);
    const stream = await listen(here.url, headers);
    await stream.heard('a status', (type, data) => type === 'status' && data['version'] !== undefined);
    const { json: lease } = await here.asTrack('POST', '/v1/allocate', 'holder-1');
    await stream.heard(
      'the lease',
      (type, data) => type === 'sandboxes' && JSON.stringify(data).includes(String(lease['sandbox_id'])),
    );
    await stream.heard(
      'the new count',
      (type, data) => type === 'status' && (data['pool'] as { allocated: number } | null)?.allocated === 1,
    );

    await here.asTrack('POST', `/v1/sandboxes/${lease['sandbox_id']}/mark-for-deletion`, 'holder-1');
    await here.asAdmin('POST', '/v1/admin/cleanup', undefined, { prefer: 'respond-async' });
    await stream.heard(
      'the end of the job',
      (type, data) => type === 'jobs' && JSON.stringify(data).includes('"status":"completed"'),
    );
    for (let index = 0; index < 6; index++) await here.asTrack('POST', '/v1/allocate', `many-${index}`);
    await stream.heard('the alert', (type, data) => type === 'alert' && data['reason'] === 'pool_empty');

    const { json: status } = await here.asAdmin('GET', '/v1/admin/status');
    expect(status['activity']).toMatchObject({ p95_ms: expect.any(Number) });
    const loops = status['loops'] as {
      name: string;
      last_run: { outcome: string } | null;
      next_run_at: number | null;
    }[];
    expect(loops.map(({ name, last_run: run }) => [name, run?.outcome])).toEqual(
      ['sync', 'cleanup', 'expiry', 'purge', 'counts'].map((name) => [name, 'success']),
    );
    expect(loops.find(({ name }) => name === 'sync')?.next_run_at).toBeGreaterThan(Date.now() / 1_000);
    const { json: history } = await here.asAdmin('GET', '/v1/admin/history');
    expect(history).toMatchObject({ interval_seconds: 15, kept_seconds: 21_600 });
    const columns = [
      'at',
      'available',
      'allocated',
      'pending_deletion',
      'deletion_failed',
      'stale',
      'leases_per_minute',
      'refusals_per_minute',
      'p95_ms',
    ];
    const lengths = columns.map((name) => (history[name] as unknown[]).length);
    expect(new Set(lengths).size).toBe(1);
    expect(lengths[0]).toBeGreaterThan(0);
  });
});
