import { expect, onTestFinished, test, vi } from 'vitest';
import { openStore } from '../../../src/compose/store.ts';
import { loadConfig } from '../../../src/config/index.ts';

test.for([
  ['dynamodb://eu-west-1', 1_000],
  ['http://key:secret@dynamo.example:8000', 1_000],
  ['https://dynamo.example', 1_000],
  ['http://127.0.0.1:8000', 3_000],
] as const)(
  'a call to %s that gets no answer is given up after %i ms, where others are quick',
  async ([url, limitMs]) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const nobody = () => undefined;
    const client = openStore(loadConfig({ SANDBOX_DB_URL: url }), undefined, nobody, nobody);
    const caller = new AbortController();
    onTestFinished(() => {
      vi.useRealTimers();
      caller.abort();
      client.close();
    });
    let isLost = false;
    let gaveUp = 0;
    Object.assign(client.raw, {
      send: (_command: unknown, { abortSignal }: { abortSignal: AbortSignal }) =>
        isLost
          ? new Promise((_, reject) => {
              abortSignal.addEventListener('abort', () => reject(new Error(`given up ${++gaveUp}`)));
            })
          : Promise.resolve({}),
    });
    const read = () => client.get({ pk: 'any', sk: 'any' }, caller.signal);
    for (let call = 0; call < 10; call++) await read();
    isLost = true;
    read().catch(nobody);
    await new Promise(setImmediate);
    vi.advanceTimersByTime(limitMs - 1);
    expect(gaveUp).toBe(0);
    vi.advanceTimersByTime(1);
    expect(gaveUp).toBe(1);
  },
);
