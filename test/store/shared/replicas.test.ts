import { expect, onTestFinished, test } from 'vitest';
import { REPLICAS_PK, replicaKey } from '../../../src/store/sandboxes/keys.ts';
import { createReplicaRegister, type ReplicaRegister } from '../../../src/store/shared/replicas.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, createFakeClock, uniqueTable } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { readTable } from '../../support/store/table-audit.ts';

const signal = new AbortController().signal;

describeOnEngines('the register of replicas', ({ endpoint }) => {
  async function start() {
    const { client } = createCountingClient(endpoint, uniqueTable());
    onTestFinished(() => client.close());
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    const clock = createFakeClock();
    return { client, clock, replica: (id: string) => createReplicaRegister(client, id, clock) };
  }

  const beatAll = async (...replicas: ReplicaRegister[]) => {
    // Twice: the first to beat has not seen the last yet.
    for (const each of [...replicas, ...replicas]) await each.beat(signal);
  };

  test('has a replica alone until it has looked around', async () => {
    const { replica } = await start();
    const alone = replica('b');
    expect(alone.rank()).toEqual({ index: 0, replicas: 1 });
    await replica('a').beat(signal);
    expect(alone.living()).toEqual(['b']);
  });

  test('numbers the living by their sorted ids, each in its own place', async () => {
    const { replica } = await start();
    const replicas = ['c', 'a', 'd', 'b'].map(replica);
    await beatAll(...replicas);
    for (const each of replicas) expect(each.living()).toEqual(['a', 'b', 'c', 'd']);
    expect(replicas.map((each) => each.rank().index)).toEqual([2, 0, 3, 1]);
    expect(replicas.map((each) => each.rank().replicas)).toEqual([4, 4, 4, 4]);
  });

  test('forgets who was not heard of for 30 s, and knows it again when it is back', async () => {
    const { clock, replica } = await start();
    const [a, b] = [replica('a'), replica('b')];
    await beatAll(a, b);
    clock.advanceSeconds(29.999);
    await b.beat(signal);
    expect(b.rank()).toEqual({ index: 1, replicas: 2 });
    clock.advanceSeconds(0.001);
    await b.beat(signal);
    expect(b.rank()).toEqual({ index: 0, replicas: 1 });
    await a.beat(signal);
    await b.beat(signal);
    expect(b.rank()).toEqual({ index: 1, replicas: 2 });
  });

  test('counts a replica itself even when its own record is not to be seen', async () => {
    const { client, clock } = await start();
    const slow = createReplicaRegister(client, 'slow', createFakeClock(clock.nowMs() - 60_000));
    const other = createReplicaRegister(client, 'other', clock);
    await beatAll(slow, other);
    expect(slow.living()).toEqual(['other', 'slow']);
    expect(other.living()).toEqual(['other']);
  });

  test('drops who leaves at once', async () => {
    const { replica } = await start();
    const [a, b] = [replica('a'), replica('b')];
    await beatAll(a, b);
    await a.leave();
    await b.beat(signal);
    expect(b.rank()).toEqual({ index: 0, replicas: 1 });
    await a.leave();
  });

  test('leaves nothing behind for ever: a record lapses an hour after its last beat', async () => {
    const { client, clock, replica } = await start();
    await replica('a').beat(signal);
    clock.advanceSeconds(5);
    await replica('a').beat(signal);
    const records = (await readTable(client)).filter((item) => item.pk === REPLICAS_PK);
    expect(records).toEqual([
      { ...replicaKey('a'), beat_at_ms: clock.nowMs(), has_line: true, ttl: clock.nowMs() / 1000 + 3_600 },
    ]);
  });

  test('keeps the last known places when the store cannot be asked', async () => {
    const { replica } = await start();
    const [a, b] = [replica('a'), replica('b')];
    await beatAll(a, b);
    await expect(b.beat(AbortSignal.abort())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(b.rank()).toEqual({ index: 1, replicas: 2 });
  });
});
