import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { holdCalls, injectFaults } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { clientsOf, expectUnavailable, key, within } from './client-steps.ts';

describeOnFastEngine('the store client', ({ endpoint }) => {
  const { connect, startProxy } = clientsOf(endpoint);

  test('gives up in time, whatever the tries and the place in the queue', async () => {
    const proxy = await startProxy();
    await proxy.behave({ kind: 'black_hole' });
    const { client } = connect({
      endpoint: proxy.endpoint,
      maxConcurrentCalls: 2,
      callTimeoutMs: 60_000,
      totalTimeoutMs: 200,
    });
    const calls = Array.from({ length: 10 }, () => expectUnavailable(client.get(key('there'))));
    await within(200, Promise.all(calls));
    await proxy.behave({ kind: 'pass' });
    expect(await client.get(key('there'))).toBeDefined();
  });

  test('gives up a call that waits for its turn as soon as its caller does', async () => {
    const { client, observed } = connect({ maxConcurrentCalls: 1 });
    const held = holdCalls();
    injectFaults(client).next('GetItem', held.fault);
    const first = client.get(key('there'));
    const caller = new AbortController();
    const second = client.get(key('there'), caller.signal);
    await until(() => held.waiting === 1, { what: 'the first call is under way' });
    caller.abort();
    await within(0, expectUnavailable(second));
    held.release();
    expect(await first).toBeDefined();
    expect(await client.get(key('there'))).toBeDefined();
    // The second was never sent.
    expect(observed).toHaveLength(2);
  });

  test('gives up a call that is under way as soon as its caller does, and takes the next', async () => {
    const proxy = await startProxy();
    const { client, observed } = connect({ endpoint: proxy.endpoint, maxConcurrentCalls: 1 });
    await proxy.behave({ kind: 'black_hole' });
    const caller = new AbortController();
    const reading = client.get(key('there'), caller.signal);
    await until(() => proxy.liveConnections === 1, { what: 'the call is under way' });
    caller.abort();
    await within(0, expectUnavailable(reading));
    await proxy.behave({ kind: 'pass' });
    expect(await client.get(key('there'))).toBeDefined();
    expect(observed.map(({ outcome }) => outcome)).toEqual(['given_up', 'success']);
  });

  test('sends nothing for a caller who is gone already', async () => {
    const { client, observed } = connect();
    await expectUnavailable(client.get(key('there'), AbortSignal.abort()));
    expect(observed).toEqual([]);
  });

  test('has no more calls under way, and no more sockets, than it was told', async () => {
    const proxy = await startProxy();
    const { client } = connect({ endpoint: proxy.endpoint, maxConcurrentCalls: 3 });
    const held = holdCalls();
    injectFaults(client).next('GetItem', held.fault, { times: 3 });
    const reading = Promise.all(Array.from({ length: 30 }, () => client.get(key('there'))));
    await until(() => held.waiting === 3, { what: 'three calls are under way' });
    held.release();
    expect(await reading).toHaveLength(30);
    expect(proxy.liveConnections).toBeLessThanOrEqual(3);
  });

  test('leaves no listener behind on a signal that many calls share', async () => {
    const { client } = connect();
    const shared = new AbortController();
    for (let i = 0; i < 20; i++) await client.get(key('there'), shared.signal);
    expect(getEventListeners(shared.signal, 'abort')).toEqual([]);
  });
});
