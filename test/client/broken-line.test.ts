import { expect, onTestFinished, test } from 'vitest';
import { createBroker } from '../../src/client/index.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { type FaultProxy, startFaultProxy } from '../support/store/fault-proxy.ts';
import { until } from '../support/until.ts';

const TOKEN = 'dev-track-token';

describeOnFastEngine('the client over a line that breaks', ({ endpoint }) => {
  async function setUp() {
    const here = await startBrokerHere(endpoint);
    const proxy: FaultProxy = await startFaultProxy({
      host: '127.0.0.1',
      port: Number(new URL(here.url).port),
    });
    onTestFinished(() => proxy.close());
    const leased = async () =>
      (await here.asAdmin('GET', '/v1/admin/sandboxes?status=allocated')).json['count'];
    return { here, proxy, leased, url: proxy.endpoint };
  }

  test('answers that are lost cost no second sandbox, and lose no mark', async () => {
    const { proxy, leased, url } = await setUp();
    const broker = createBroker({ url, token: TOKEN });
    proxy.swallowResponses(2, /allocate/);
    const lease = await broker.allocate();
    expect(proxy.swallowedResponses).toBe(2);
    expect(lease.replayed).toBe(true);
    expect(await leased()).toBe(1);
    proxy.swallowResponses(1, /mark-for-deletion/);
    expect(await lease.release()).toMatchObject({ status: 'pending_deletion' });
    expect(proxy.swallowedResponses).toBe(3);
  });

  test('a broker that is away for a moment is waited for', async () => {
    const { proxy, url } = await setUp();
    await proxy.behave({ kind: 'refuse' });
    const call = createBroker({ url, token: TOKEN }).allocate();
    const early = await Promise.race([call, new Promise<void>((resolve) => setImmediate(resolve))]);
    expect(early).toBeUndefined();
    await proxy.behave({ kind: 'pass' });
    expect(await call).toMatchObject({ replayed: false });
  });

  test('silence ends with the deadline, or with one attempt’s share of it', async () => {
    const { proxy, url } = await setUp();
    await proxy.behave({ kind: 'black_hole' });
    const silent = createBroker({ url, token: TOKEN, deadlineMs: 300 }).allocate();
    await expect(silent).rejects.toMatchObject({ code: 'UNREACHABLE', attempts: 1, status: undefined });
    const broker = createBroker({ url, token: TOKEN, attemptTimeoutMs: 200 });
    const call = broker.allocate();
    await until(() => proxy.liveConnections === 1, { what: 'the first attempt' });
    await until(() => proxy.liveConnections === 0, { what: 'the end of an attempt' });
    await proxy.behave({ kind: 'pass' });
    expect(await call).toMatchObject({ holder: broker.holder });
  });

  test('an abort in the middle of a call leaves nothing open, and its key finds the lease', async () => {
    const { proxy, leased, url } = await setUp();
    const broker = createBroker({ url, token: TOKEN, holder: 'student-1' });
    const controller = new AbortController();
    await proxy.behave({ kind: 'delay', delayMs: 60_000 });
    const call = broker.allocate({ signal: controller.signal, idempotencyKey: 'once' });
    call.catch(() => undefined);
    await until(() => proxy.liveConnections === 1, { what: 'the call is under way' });
    controller.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await until(() => proxy.liveConnections === 0, { what: 'the connection is closed' });
    await proxy.behave({ kind: 'pass' });
    await broker.allocate({ idempotencyKey: 'once' });
    expect(await leased()).toBe(1);
  });
});
