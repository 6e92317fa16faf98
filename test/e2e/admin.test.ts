import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  type AnswerBody,
  type BrokerProcess,
  launchBroker,
  listAll,
  PROCESS_TIMES,
} from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { fastClock, fastClockEnv } from '../support/broker/fast-clock.ts';
import {
  account,
  type FakeAccount,
  type FakeCsp,
  startFakeCsp,
  uuidOf,
} from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const CSP_TOKEN = 'csp-token';
/** A sync takes nothing for missing that is younger than ten seconds: by this clock they are soon over. */
const CLOCK = { rate: 5, originMs: Date.now() };
const nowMs = fastClock(CLOCK.rate, CLOCK.originMs);
const PURPOSES = ['list', 'look', 'count', 'stale', 'expire', 'release', 'fail'];
const EACH = 4;
const COUNTED = ['available', 'allocated', 'pending_deletion', 'stale', 'deletion_failed'];
const TOTAL = PURPOSES.length * EACH;

/*
 * One broker for all of it. Each test has sandboxes of its own, which it finds by the beginning of their names, and
 * nothing happens by itself: the loops' intervals are longer than the suite.
 */
describeOnFastEngine("an operator's calls", ({ endpoint }) => {
  let csp: FakeCsp;
  let broker: BrokerProcess;

  beforeAll(async () => {
    csp = await startFakeCsp({ token: CSP_TOKEN });
    for (const purpose of PURPOSES) {
      for (let i = 1; i <= EACH; i++) csp.add(account({ name: `${purpose}-${i}` }));
    }
    broker = await launchBroker({
      env: {
        DDB_ENDPOINT_URL: endpoint,
        DDB_TABLE_NAME: uniqueTable(),
        CSP_BASE_URL: csp.baseUrl,
        CSP_API_TOKEN: CSP_TOKEN,
        RETRY_MAX_RETRIES: '0',
        ...fastClockEnv(CLOCK.rate, CLOCK.originMs),
        // A lease of two seconds, no grace, and one attempt at a deletion.
        LAB_DURATION_HOURS: String((2 * CLOCK.rate) / 3_600),
        EXPIRY_BUFFER_HOURS: '0',
        DELETION_RETRY_MAX_ATTEMPTS: '1',
        SYNC_INTERVAL_SEC: '3600',
        CLEANUP_INTERVAL_SEC: '3600',
        AUTO_EXPIRY_INTERVAL_SEC: '3600',
      },
    });
    await broker.logged('the first sync', ({ created }) => created === TOTAL);
    for (const action of ['background_cleanup', 'auto_expiry', 'stale_purge']) {
      await broker.logged(`the first ${action}`, (line) => line.action === action);
    }
  });

  afterAll(async () => {
    await broker?.kill9();
    await csp?.close();
  });

  const run = async (path: string, outcome = 'completed'): Promise<AnswerBody> => {
    const { status, json } = await broker.admin('POST', `/v1/admin/${path}`);
    expect([path, status, json['status'], json.error]).toEqual([path, 200, outcome, undefined]);
    expect(json['duration_ms']).toBeGreaterThanOrEqual(0);
    return json;
  };
  const inspect = async (id: unknown) => (await broker.admin('GET', `/v1/admin/sandboxes/${id}`)).json;
  const take = async (purpose: string, holder: string): Promise<string> => {
    const { status, json } = await broker.allocate(holder, { 'x-sandbox-name-prefix': `${purpose}-` });
    expect(status).toBe(201);
    return String(json.sandbox_id);
  };
  const accountOf = (sandboxId: unknown) =>
    [...csp.accounts.values()].find((each) => each.csp_id === sandboxId);
  const namesOf = (sandboxes: readonly AnswerBody[]) => sandboxes.map((each) => each['name']).sort();
  const allNames = (purpose: string) => Array.from({ length: EACH }, (_, index) => `${purpose}-${index + 1}`);

  test('GET sandboxes lists page by page, by status and by the beginning of the name', async () => {
    const leased = await take('list', 'list-holder');
    const page = await broker.admin('GET', '/v1/admin/sandboxes?prefix=list-&limit=3');
    expect(page.status).toBe(200);
    expect(page.json).toMatchObject({ count: 3, cursor: expect.any(String) });
    const cursor = encodeURIComponent(String(page.json['cursor']));
    const rest = await broker.admin('GET', `/v1/admin/sandboxes?prefix=list-&limit=3&cursor=${cursor}`);
    const both = [page, rest].flatMap(({ json }) => json['sandboxes'] as AnswerBody[]);
    expect(namesOf(both)).toEqual(allNames('list'));
    const allocated = await listAll(broker, 'status=allocated&prefix=list-');
    expect(allocated).toMatchObject([{ sandbox_id: leased, allocated_to_track: 'list-holder' }]);
    expect(namesOf(await listAll(broker))).toHaveLength(TOTAL);
    expect((await broker.admin('GET', '/v1/admin/sandboxes?cursor=nonsense')).json.error?.code).toBe(
      'INVALID_CURSOR',
    );
  });

  test('GET sandboxes/{id} shows the record and who did what to it', async () => {
    const id = await take('look', 'look-holder');
    await broker.mark(id, 'look-holder');
    const record = await inspect(id);
    expect(record).toMatchObject({
      sandbox_id: id,
      external_id: accountOf(id)?.id,
      status: 'pending_deletion',
      allocated_to_track: 'look-holder',
    });
    expect(record['history']).toMatchObject([
      { action: 'sync_created', actor: 'background_sync', to: 'available' },
      { action: 'allocate', actor: 'track', from: 'available', to: 'allocated' },
      { action: 'mark_for_deletion', actor: 'track', from: 'allocated', to: 'pending_deletion' },
    ]);
    expect((await broker.admin('GET', '/v1/admin/sandboxes/unknown')).json.error?.code).toBe(
      'SANDBOX_NOT_FOUND',
    );
  });

  test('GET stats counts what the list shows', async () => {
    await take('count', 'count-holder');
    // Any run is followed by a count.
    await run('expire');
    const everything = await listAll(broker);
    const inStatus = (status: string) => everything.filter((each) => each['status'] === status).length;
    const stats = await until(
      async () => {
        const { json } = await broker.admin('GET', '/v1/admin/stats');
        return COUNTED.every((each) => json[each] === inStatus(each)) ? json : undefined;
      },
      { what: 'the counts agree with the list' },
    );
    expect(stats['total']).toBe(everything.length);
    expect(Math.abs(Number(stats['as_of']) - nowMs() / 1000)).toBeLessThan(30 * CLOCK.rate);
  });

  test('POST expire takes back a lease whose time is over, and its key is free again', async () => {
    const id = await take('expire', 'expire-holder');
    const expired = await until(
      async () => {
        await run('expire');
        const record = await inspect(id);
        return record['status'] === 'pending_deletion' ? record : undefined;
      },
      { what: 'the lease is taken back' },
    );
    const history = expired['history'] as { action: string; actor: string }[];
    expect(history.at(-1)).toMatchObject({ action: 'expire', actor: 'admin' });
    const again = await broker.allocate('expire-holder', { 'x-sandbox-name-prefix': 'expire-' });
    expect(again.status).toBe(201);
    expect(again.json.sandbox_id).not.toBe(id);
  });

  test('POST release takes a sandbox from its holder, POST cleanup has it deleted', async () => {
    const id = await take('release', 'release-holder');
    const uuid = uuidOf(accountOf(id)!);
    const released = await broker.admin('POST', `/v1/admin/sandboxes/${id}/release`);
    expect([released.status, released.json['status']]).toEqual([200, 'pending_deletion']);
    expect(Number((await run('cleanup'))['deleted'])).toBeGreaterThanOrEqual(1);
    expect(csp.deletes.get(uuid)).toEqual({ effective: 1, missed: 0 });
    expect(await inspect(id)).toMatchObject({ status: 'deleted', deletion_reason: 'destroyed' });
    const late = await broker.admin('POST', `/v1/admin/sandboxes/${id}/release`);
    expect([late.status, late.json.error?.code]).toEqual([409, 'INVALID_STATE']);
  });

  test('POST retry-deletion gives a failed deletion another try, POST bulk-delete forgets it', async () => {
    const ids = [await take('fail', 'fail-1'), await take('fail', 'fail-2')] as const;
    for (const [index, id] of ids.entries()) {
      csp.faults.add('delete', { kind: 'respond', status: 500 }, { uuid: uuidOf(accountOf(id)!) });
      await broker.mark(id, `fail-${index + 1}`);
    }
    expect(await run('cleanup', 'partial')).toMatchObject({ failed: 2 });
    for (const id of ids) expect(await inspect(id)).toMatchObject({ status: 'deletion_failed' });

    const retried = await broker.admin('POST', `/v1/admin/sandboxes/${ids[0]}/retry-deletion`);
    expect([retried.status, retried.json['status']]).toEqual([200, 'pending_deletion']);
    expect(await run('cleanup')).toMatchObject({ deleted: 1, failed: 0 });
    expect(await inspect(ids[0])).toMatchObject({ status: 'deleted', deletion_reason: 'destroyed' });

    expect(await run('bulk-delete?status=deletion_failed')).toMatchObject({ deleted: 1 });
    expect(await inspect(ids[1])).toMatchObject({ status: 'deleted', deletion_reason: 'purged' });
    expect(accountOf(ids[1])).toBeDefined();
  });

  test('none of it is for tracks, or for nobody', async () => {
    const asTrack = { headers: { authorization: 'Bearer dev-track-token', 'x-track-id': 'student' } };
    for (const path of ['sync', 'cleanup', 'expire', 'auto-delete-stale', 'bulk-delete?status=stale']) {
      expect((await broker.call('POST', `/v1/admin/${path}`, asTrack)).status).toBe(403);
      expect((await broker.call('POST', `/v1/admin/${path}`)).status).toBe(401);
    }
  });

  // The last test, because a sync takes nothing for missing that is younger than ten seconds.
  test('POST sync marks stale what is gone, POST auto-delete-stale and bulk-delete drop it', async () => {
    const [first, second, third] = (await listAll(broker, 'prefix=stale-')).map((each) => {
      return accountOf(each.sandbox_id) ?? expect.fail('not at CSP');
    }) as [FakeAccount, FakeAccount, FakeAccount];
    const [added] = csp.add(account({ name: 'stale-new' })) as [FakeAccount];
    expect(await run('sync')).toMatchObject({ created: 1, stale: 0 });
    expect(await inspect(added.csp_id)).toMatchObject({ status: 'available', name: 'stale-new' });

    csp.accounts.delete(uuidOf(first));
    const updatedAt = Number((await inspect(first.csp_id))['updated_at']);
    await until(() => nowMs() / 1000 > updatedAt + 11, {
      what: 'the sandbox is older than ten seconds',
    });
    expect(await run('sync')).toMatchObject({ stale: 1 });
    expect(await inspect(first.csp_id)).toMatchObject({ status: 'stale' });
    // Nobody waits a day for it here.
    expect(await run('auto-delete-stale')).toMatchObject({ deleted: 0 });
    expect(await run('auto-delete-stale?grace_period_hours=0')).toMatchObject({ deleted: 1 });
    expect(await inspect(first.csp_id)).toMatchObject({ status: 'deleted', deletion_reason: 'purged' });

    for (const each of [second, third]) csp.accounts.delete(uuidOf(each));
    expect(await run('sync')).toMatchObject({ created: 0, stale: 2 });
    csp.add(third);
    expect(await run('sync')).toMatchObject({ stale: 0, restored: 1 });
    expect(await inspect(third.csp_id)).toMatchObject({ status: 'available' });
    expect(await run('bulk-delete?status=stale')).toMatchObject({ deleted: 1 });
    expect(await inspect(second.csp_id)).toMatchObject({ status: 'deleted', deletion_reason: 'purged' });
    expect((await broker.admin('POST', '/v1/admin/bulk-delete')).status).toBe(400);
    // Records only: the provider was not told to delete any of them.
    for (const each of [first, second]) expect(csp.deletes.has(uuidOf(each))).toBe(false);
  });
});
