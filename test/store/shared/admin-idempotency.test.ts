import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { KeptAnswers, KeyedRequest, Undertaking } from '../../../src/domain/resilience/kept-answer.ts';
import { createAnswersInMemory } from '../../../src/safety/idempotency/answers-in-memory.ts';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import { deleteExpired } from '../../../src/store/expired.ts';
import { createKeptAnswers } from '../../../src/store/shared/kept-answers.ts';
import { openTable } from '../../../src/store/table.ts';
import {
  createCountingClient,
  createFakeClock,
  type FakeClock,
  uniqueTable,
} from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { injectFaults, loseAnswer } from '../../support/store/injected-faults.ts';

const LEASE_MS = 30_000;
const TTL_SECONDS = 3_600;
const REQUEST: KeyedRequest = {
  principal: 'admin',
  key: 'key-1',
  fingerprint: 'fingerprint-1',
  operation: 'POST /v1/admin/sync',
};
const OTHER: KeyedRequest = { ...REQUEST, fingerprint: 'fingerprint-2' };
const ANSWER = {
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: '{"status":"completed"}',
};
const never = new AbortController().signal;

interface Replicas {
  client: StoreClient;
  clock: FakeClock;
  replica: () => KeptAnswers;
}

async function start(endpoint: string): Promise<Replicas> {
  const { client } = createCountingClient(endpoint, uniqueTable());
  onTestFinished(async () => client.close());
  await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
  const clock = createFakeClock();
  const ttlMs = TTL_SECONDS * 1000;
  const replica = () =>
    createKeptAnswers(client, { clock, newId: randomUUID, replicaId: randomUUID(), ttlMs });
  return { client, clock, replica };
}

async function begun(answers: KeptAnswers, request = REQUEST): Promise<Undertaking> {
  const beginning = await answers.begin(request, LEASE_MS);
  if (beginning.type !== 'begun') throw new Error(`not begun, but ${beginning.type}`);
  return beginning.undertaking;
}

const beginningOf = async (answers: KeptAnswers, request = REQUEST): Promise<string> =>
  (await answers.begin(request, LEASE_MS)).type;

/** What every backing has to keep. */
function isCarriedOutOnce(start: () => Promise<Pick<Replicas, 'clock' | 'replica'>>): void {
  test('is begun by one of many at once, on whichever replica', async () => {
    const { replica } = await start();
    const replicas = [replica(), replica()];
    const beginnings = await Promise.all(
      Array.from({ length: 10 }, (_, index) => beginningOf(replicas[index % 2] ?? replica())),
    );
    expect(beginnings.toSorted()).toEqual(['begun', ...Array.from({ length: 9 }, () => 'under_way')]);
  });

  test('that is done is answered as it was, and another request under its key is told apart', async () => {
    const { replica } = await start();
    const one = replica();
    expect(await one.keep(await begun(one), ANSWER)).toBe(true);
    expect(await replica().begin(REQUEST, LEASE_MS)).toEqual({ type: 'done', answer: ANSWER });
    expect(await beginningOf(replica(), OTHER)).toBe('other_request');
    expect(await beginningOf(replica(), { ...OTHER, key: 'key-2' })).toBe('begun');
    expect(await beginningOf(replica(), { ...OTHER, principal: 'somebody-else' })).toBe('begun');
  });

  test('that is under way says since when, and another request under its key is told apart', async () => {
    const { clock, replica } = await start();
    const sinceMs = clock.nowMs();
    await begun(replica());
    clock.advanceSeconds(4);
    expect(await replica().begin(REQUEST, LEASE_MS)).toEqual({ type: 'under_way', sinceMs });
    expect(await beginningOf(replica(), OTHER)).toBe('other_request');
  });

  test('keeps its answer for its time, counted from completion, and then the key is free for any request', async () => {
    const { clock, replica } = await start();
    const one = replica();
    const undertaking = await begun(one);
    clock.advanceSeconds(25);
    await one.keep(undertaking, ANSWER);
    clock.advanceSeconds(TTL_SECONDS - 0.001);
    expect(await beginningOf(one)).toBe('done');
    clock.advanceSeconds(0.001);
    expect(await beginningOf(one, OTHER)).toBe('begun');
  });

  test('that failed may be sent again at once', async () => {
    const { replica } = await start();
    const one = replica();
    await one.forget(await begun(one));
    expect(await beginningOf(replica(), OTHER)).toBe('begun');
  });

  test('whose owner is gone may be taken over when its lease is over, by the same request only', async () => {
    const { clock, replica } = await start();
    const gone = await begun(replica());
    clock.advanceSeconds(LEASE_MS / 1000);
    expect(await beginningOf(replica())).toBe('under_way');
    clock.advanceSeconds(0.001);
    expect(await beginningOf(replica(), OTHER)).toBe('other_request');
    const taker = replica();
    const taken = await begun(taker);
    // The first one was only slow: it has no say any more.
    const late = replica();
    expect(await late.renew(gone, LEASE_MS)).toBe(false);
    expect(await late.keep(gone, { ...ANSWER, body: 'late' })).toBe(false);
    await late.forget(gone);
    expect(await taker.keep(taken, ANSWER)).toBe(true);
    expect(await late.keep(gone, { ...ANSWER, body: 'late' })).toBe(false);
    await late.forget(gone);
    expect(await late.begin(REQUEST, LEASE_MS)).toEqual({ type: 'done', answer: ANSWER });
  });

  test('whose owner is gone leaves the key to any request in the end', async () => {
    const { clock, replica } = await start();
    await begun(replica());
    clock.advanceSeconds(TTL_SECONDS);
    expect(await beginningOf(replica(), OTHER)).toBe('begun');
  });

  test('is held for as long as its owner gives signs of life', async () => {
    const { clock, replica } = await start();
    const one = replica();
    const undertaking = await begun(one);
    for (let minute = 0; minute < 3; minute++) {
      clock.advanceSeconds(20);
      expect(await one.renew(undertaking, LEASE_MS)).toBe(true);
    }
    clock.advanceSeconds(20);
    expect(await beginningOf(replica())).toBe('under_way');
    expect(await one.keep(undertaking, ANSWER)).toBe(true);
  });

  test('an answer too large to be kept is remembered without its body', async () => {
    const { replica } = await start();
    const one = replica();
    const { body: _, ...rest } = ANSWER;
    await one.keep(await begun(one), rest);
    expect(await one.begin(REQUEST, LEASE_MS)).toEqual({ type: 'done', answer: rest });
  });

  test('can be looked up, whether it is done or under way, for as long as that holds', async () => {
    const { clock, replica } = await start();
    const one = replica();
    expect(await one.find('admin', 'key-1')).toBeUndefined();
    const undertaking = await begun(one);
    expect(await one.find('admin', 'key-1')).toEqual({ answer: undefined });
    await one.keep(undertaking, ANSWER);
    expect(await one.find('admin', 'key-1')).toEqual({ answer: ANSWER });
    expect(await one.find('another', 'key-1')).toBeUndefined();
    clock.advanceSeconds(TTL_SECONDS);
    expect(await one.find('admin', 'key-1')).toBeUndefined();
  });
}

describeOnEngines('a keyed request', ({ endpoint }) => {
  isCarriedOutOnce(() => start(endpoint));

  test('no record stays for ever, and none goes before its time', async () => {
    const { client, clock, replica } = await start(endpoint);
    const one = replica();
    await one.keep(await begun(one), ANSWER);
    await begun(one, { ...REQUEST, key: 'key-2' });
    clock.advanceSeconds(TTL_SECONDS);
    expect(await deleteExpired(client, clock.nowMs(), never, () => undefined)).toBe(0);
    clock.advanceSeconds(3_601);
    expect(await deleteExpired(client, clock.nowMs(), never, () => undefined)).toBe(2);
  });

  test('an answer that is lost and a call that is sent again change nothing', async () => {
    const { client, replica } = await start(endpoint);
    const faults = injectFaults(client);
    const one = replica();
    faults.next('PutItem', loseAnswer);
    const undertaking = await begun(one);
    faults.next('UpdateItem', loseAnswer);
    expect(await one.renew(undertaking, LEASE_MS)).toBe(true);
    faults.next('UpdateItem', loseAnswer);
    expect(await one.keep(undertaking, ANSWER)).toBe(true);
    faults.next('PutItem', loseAnswer);
    const failing = await begun(one, { ...REQUEST, key: 'key-2' });
    faults.next('DeleteItem', loseAnswer);
    await one.forget(failing);
    expect(faults.left).toBe(0);
    expect(await beginningOf(one)).toBe('done');
    expect(await beginningOf(one, { ...REQUEST, key: 'key-2' })).toBe('begun');
  });

  test('a useless time to keep answers is refused', async () => {
    const { client, clock } = await start(endpoint);
    const options = { clock, newId: randomUUID, replicaId: 'replica-1', ttlMs: 0 };
    expect(() => createKeptAnswers(client, options)).toThrow(/ttlMs/);
  });
});

describe('a keyed request in memory', () => {
  isCarriedOutOnce(async () => {
    const clock = createFakeClock();
    const answers = createAnswersInMemory({ clock, newId: randomUUID, ttlMs: TTL_SECONDS * 1000 });
    return { clock, replica: () => answers };
  });
});
