import { expect, test } from 'vitest';
import { BrokerError } from '../../../src/domain/errors.ts';
import { MAX_KEPT_BODY_BYTES } from '../../../src/http/plugins/kept-answers.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { failWith, injectFaults, timedOut } from '../../support/store/injected-faults.ts';
import { counted, send, start } from './admin-idempotency-steps.ts';

describeOnFastEngine("an operator's request with a key", ({ endpoint }) => {
  test.each([
    ['a conflict', new BrokerError('ALREADY_RUNNING', 'Under way.'), 409],
    ['a dependency that is away', new BrokerError('PROVIDER_UNAVAILABLE', 'No answer.'), 502],
    ['a refusal for now', new BrokerError('RATE_LIMITED', 'Too many.'), 429],
    ['what nobody expected', new TypeError('oops'), 500],
  ])('that ended with %s is not kept and may be sent again', async (_name, error, status) => {
    let failures = 1;
    const { run, runs: counting } = counted(() => {
      if (failures-- > 0) throw error;
      return { created: 1 };
    });
    const app = await start(endpoint, { runs: counting });
    expect((await send(app)).status).toBe(status);
    const again = await send(app);
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([200, undefined]);
    expect(run).toHaveBeenCalledTimes(2);
    expect(app.outcomes).toEqual(['not_kept', 'executed']);
  });

  test('is not carried out while the store is away: 503', async () => {
    const { run, runs: counting } = counted(() => ({}));
    const app = await start(endpoint, { runs: counting });
    injectFaults(app.client).next('PutItem', failWith(timedOut), { times: 4 });
    const answer = await send(app);
    expect([answer.status, answer.json.error?.code]).toEqual([503, 'STORE_UNAVAILABLE']);
    expect(run).not.toHaveBeenCalled();
    expect((await send(app)).status).toBe(200);
  });

  test('that was carried out is answered as it ended, although its answer could not be kept', async () => {
    const { runs: counting } = counted(() => ({ created: 4 }));
    const app = await start(endpoint, { runs: counting });
    injectFaults(app.client).next('UpdateItem', failWith(timedOut), { times: 4 });
    const answer = await send(app);
    expect([answer.status, answer.json['created']]).toEqual([200, 4]);
    expect(app.outcomes).toEqual(['unstored']);
    // Whether it was carried out is not known to the next one, so that it has to wait.
    expect((await send(app)).status).toBe(409);
  });

  test('with an answer too large to be kept is not carried out again', async () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `${'n'.repeat(40)}${index}`);
    const many = Object.fromEntries(names.map((name) => [name, 1]));
    const { run, runs: counting } = counted(() => many);
    const app = await start(endpoint, { runs: counting });
    const first = await send(app);
    expect(Buffer.byteLength(first.text)).toBeGreaterThan(MAX_KEPT_BODY_BYTES);
    const second = await send(app);
    expect([second.status, second.json.error?.code]).toEqual([409, 'IDEMPOTENCY_ANSWER_NOT_KEPT']);
    expect(second.json.error?.details).toEqual({ status: 200, max_bytes: 65_536 });
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(run).toHaveBeenCalledTimes(1);
  });
});
