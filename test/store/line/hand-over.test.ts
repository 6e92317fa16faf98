import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { eventOf } from '../../../src/domain/event.ts';
import type { AvailableSandbox } from '../../../src/domain/sandbox.ts';
import { create } from '../../../src/domain/transitions.ts';
import { createHandOvers } from '../../../src/store/line/hand-over.ts';
import { createLineStore } from '../../../src/store/line/line.ts';
import type { Change } from '../../../src/store/sandboxes/changes.ts';
import { idempotencyKey, LINE_STATE_KEY } from '../../../src/store/sandboxes/keys.ts';
import { context, startCore } from '../../support/broker/core.ts';
import { allocate } from '../../support/broker/csp-core.ts';
import { CLOUD_LATENCY, startDynamoProxy } from '../../support/dynamo-proxy.ts';
import { describeOnEngines, describeOnFastEngine } from '../../support/store/engines.ts';
import {
  cancelled,
  failWith,
  holdAnswers,
  injectFaults,
  loseAnswer,
} from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';

const SANDBOXES = 16;

const toFree = (id: string): Change & { next: AvailableSandbox } => {
  const next = create(id, { name: `lab-${id}`, externalId: 'x', metadata: {} }, 1);
  return { seen: undefined, next, event: eventOf(undefined, next, 'sync_created', context()) };
};
const many = Array.from({ length: SANDBOXES }, (_, index) => toFree(`s${index}`));

describeOnFastEngine('becoming free beside the line', ({ endpoint }) => {
  test('replicas come to write the one record, however many sandboxes become free at the same moment', async () => {
    const proxy = await startDynamoProxy(endpoint);
    onTestFinished(() => proxy.close());
    const core = await startCore(proxy.endpoint, { buckets: 2 });
    onTestFinished(() => core.close());
    const { state } = await createLineStore(core.client, () => undefined).page({});
    const replicas = [0, 1].map(() => createHandOvers(core.client, 2, randomUUID));
    proxy.setLatency(CLOUD_LATENCY);
    proxy.clearCounts();
    const outcomes = await Promise.all(many.map((change, index) => replicas[index % 2]?.free(change, state)));
    expect(outcomes).toEqual(Array(SANDBOXES).fill('written'));
    // Of each replica one at once, and all the others together.
    expect(proxy.counts.transactions - proxy.counts.conflicts).toBeLessThanOrEqual(4);
    expect(proxy.counts.conflicts).toBeLessThan(SANDBOXES);
  });
});

describeOnEngines('sandboxes that become free at once', ({ endpoint }) => {
  async function start() {
    const core = await startCore(endpoint, { buckets: 2 });
    onTestFinished(() => core.close());
    const line = createLineStore(core.client, () => undefined);
    const { state } = await line.page({});
    core.calls.clear();
    const freed = async () => (await line.state()).frees - state.frees;
    return { core, state, freed, ...createHandOvers(core.client, 2, randomUUID) };
  }

  test('share a transaction, and what becomes of one changes nothing for the others', async () => {
    const { core, state, free, freed } = await start();
    await core.store.write({ seen: undefined, next: { ...toFree('s3').next, name: 'of somebody else' } });
    const before = await freed();
    core.calls.clear();
    const outcomes = await Promise.all(many.map((change) => free(change, state)));
    expect(outcomes).toEqual(many.map(({ next }) => (next.id === 's3' ? 'lost' : 'written')));
    // The first alone, the rest together, and again without the one that was lost.
    expect(core.calls.count('TransactWriteItems')).toBe(3);
    expect((await freed()) - before).toBe(2);
    for (const { next } of many) {
      expect((await core.store.get(next.id))?.name).toBe(next.id === 's3' ? 'of somebody else' : next.name);
    }
  });

  test('are not free once somebody has joined', async () => {
    const { core, state, free } = await start();
    await core.client.put({ Item: { ...LINE_STATE_KEY, seq: state.seq + 1, frees: state.frees } });
    const outcomes = await Promise.all([
      ...many.slice(0, 3).map((change) => free(change, state)),
      free(toFree('later'), { seq: state.seq + 1 }),
    ]);
    expect(outcomes).toEqual(['line_moved', 'line_moved', 'line_moved', 'written']);
    expect(await core.store.get('s1')).toBeUndefined();
  });

  test('are free after an answer that was lost, or another transaction on the same record', async () => {
    const { core, state, free } = await start();
    const faults = injectFaults(core.client);
    faults.next('TransactWriteItems', loseAnswer, { times: 2 });
    expect(await Promise.all(many.slice(0, 4).map((change) => free(change, state)))).toEqual(
      Array(4).fill('written'),
    );
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled('TransactionConflict', 'None', 'None')),
      { times: 3 },
    );
    expect(await free(toFree('alone'), state)).toBe('written');
  });

  test('are not taken for free with one whose earlier answer was lost', async () => {
    const { core, state, free } = await start();
    const [early, late] = [toFree('early'), toFree('late')];
    const faults = injectFaults(core.client);
    const held = holdAnswers();
    faults.next('TransactWriteItems', (send) => loseAnswer(() => held.fault(send)));
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled('TransactionConflict', 'None', 'None')),
    );
    const first = free(early, state);
    await until(() => held.waiting === 1, { what: 'it has come true' });
    const second = free(late, state);
    held.release();
    expect(await Promise.all([first, second])).toEqual(['written', 'written']);
    expect((await core.store.get('late'))?.status).toBe('available');
  });

  test('take the key of a lease that ends along, unless it is a later one’s', async () => {
    const core = await startCore(endpoint, { buckets: 2, poolSize: 2 });
    onTestFinished(() => core.close());
    const { state } = await createLineStore(core.client, () => undefined).page({});
    const { free } = createHandOvers(core.client, 2, randomUUID);
    const [first, second] = await Promise.all(
      ['anna', 'berta'].map(async (holder) => {
        const { sandboxId } = (await allocate(core, holder)).lease;
        const seen = await core.store.get(sandboxId);
        if (seen?.status !== 'allocated') throw new Error('it is not leased');
        return { seen, next: { ...toFree(sandboxId).next, generation: seen.generation + 1 } };
      }),
    );
    if (!first || !second) throw new Error('there are two');
    await core.client.update({
      Key: idempotencyKey(second.seen.lease.idempotencyPk),
      UpdateExpression: 'SET lease_id = :later',
      ExpressionAttributeValues: { ':later': 'a later one' },
    });
    expect(await Promise.all([first, second].map((change) => free(change, state)))).toEqual([
      'written',
      'written',
    ]);
    const keyOf = ({ seen }: typeof first) => core.client.get(idempotencyKey(seen.lease.idempotencyPk));
    expect(await keyOf(first)).toMatchObject({ expires_at: 0 });
    expect(await keyOf(second)).toMatchObject({ lease_id: 'a later one', expires_at: expect.any(Number) });
    expect((await keyOf(second))?.['expires_at']).toBeGreaterThan(0);
  });
});
