import { expect, test } from 'vitest';
import { type BrokerOptions, createBroker, type Retry } from '../../src/client/index.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { refusal, startFront } from './front.ts';

const TOKEN = 'dev-track-token';
const clientOf = (url: string, more: Partial<BrokerOptions> = {}) =>
  createBroker({ url, token: TOKEN, holder: 'student-1', ...more });

const BUSY = refusal(503, 'BUSY', 0);

describeOnFastEngine('an option', ({ endpoint }) => {
  test('retries: so many more attempts and no other, or none', async () => {
    const { url, answer, seen } = await startFront((await startBrokerHere(endpoint)).url);
    answer(BUSY, BUSY, BUSY, BUSY);
    await expect(clientOf(url, { retries: 2 }).allocate()).rejects.toMatchObject({
      code: 'BUSY',
      attempts: 3,
    });
    await expect(clientOf(url, { retries: 0 }).allocate()).rejects.toMatchObject({
      code: 'BUSY',
      attempts: 1,
    });
    expect(seen).toHaveLength(4);
    expect(await clientOf(url, { retries: 0 }).allocate()).toMatchObject({ replayed: false });
  });

  test('onRetry: told of every failure that another attempt follows, and can end the call', async () => {
    const { url, answer, seen } = await startFront((await startBrokerHere(endpoint)).url);
    const told: Retry[] = [];
    answer(BUSY, { status: 502, body: 'Bad gateway' });
    await clientOf(url, { onRetry: (retry) => told.push(retry) }).allocate();
    expect(told).toMatchObject([
      { attempts: 1, error: { code: 'BUSY', requestId: 'req-1', attempts: 1 } },
      { attempts: 2, error: { code: 'UNEXPECTED_ANSWER', status: 502, attempts: 2 } },
    ]);
    for (const { waitMs } of told) expect(waitMs).toBeGreaterThanOrEqual(0);
    const enough = new Error('enough');
    answer(BUSY);
    const onRetry = () => {
      throw enough;
    };
    await expect(clientOf(url, { onRetry }).allocate()).rejects.toBe(enough);
    answer(refusal(409, 'NO_SANDBOXES_AVAILABLE'));
    await expect(clientOf(url, { onRetry }).allocate()).rejects.toMatchObject({
      code: 'NO_SANDBOXES_AVAILABLE',
    });
    expect(seen).toHaveLength(5);
  });

  test('correlationId: one for all, one for each call, or one for this call, the same over its retries', async () => {
    const here = await startBrokerHere(endpoint);
    const { url, answer, seen } = await startFront(here.url);
    let calls = 0;
    const each = clientOf(url, { correlationId: () => `run-7/${++calls}` });
    answer(BUSY);
    const lease = await each.allocate();
    await each.get(lease.sandbox_id);
    await lease.release({ correlationId: 'the-end' });
    await clientOf(url, { correlationId: 'all' }).allocate();
    await clientOf(url).allocate();
    expect(seen.map(({ headers }) => headers['x-correlation-id'])).toEqual([
      ...['run-7/1', 'run-7/1', 'run-7/2', 'the-end'],
      ...['all', undefined],
    ]);
  });

  test('fetch: what it does instead of the platform’s is what is answered', async () => {
    const here = await startBrokerHere(endpoint);
    const asked: string[] = [];
    const broker = clientOf('https://broker.example.com/sandboxes/', {
      fetch: (url, init) => {
        asked.push(`${init.method} ${url}`);
        return fetch(url.replace('https://broker.example.com/sandboxes', here.url), init);
      },
    });
    const { sandbox_id } = await broker.allocate();
    expect(await broker.get(sandbox_id)).toMatchObject({ status: 'allocated' });
    expect(asked).toEqual([
      'POST https://broker.example.com/sandboxes/v1/allocate',
      `GET https://broker.example.com/sandboxes/v1/sandboxes/${sandbox_id}`,
    ]);
  });
});

test.each([[-1], [Number.NaN]])('retries of %d are refused', (retries) => {
  expect(() => clientOf('http://127.0.0.1:9', { retries })).toThrow(/^retries must be/);
});
