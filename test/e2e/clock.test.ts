import { expect, test } from 'vitest';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const HOUR_MS = 3_600_000;
const ALLOCATE = '/v1/allocate';

describeOnEngines('a replica whose clock is hours off', ({ endpoint }) => {
  /** A replica with a clock of its own; loops come by every second. */
  async function startWithClock(aheadMs: number, env: Record<string, string> = {}) {
    const machine = { aheadMs };
    const clock = { nowMs: () => Date.now() + machine.aheadMs };
    const here = await startBrokerHere(
      endpoint,
      { AUTO_EXPIRY_INTERVAL_SEC: '1', CLEANUP_INTERVAL_SEC: '1', SYNC_INTERVAL_SEC: '1', ...env },
      undefined,
      { clock },
    );
    return { ...here, machine };
  }

  const alertsOf = async (here: BrokerHere) => {
    const { json } = await here.asAdmin('GET', '/v1/admin/alerts?min_severity=error');
    return (json['alerts'] as { reason: string; task: string }[]).map(
      ({ task, reason }) => `${task} ${reason}`,
    );
  };
  const statusOf = async (here: BrokerHere, id: unknown) =>
    (await here.asAdmin('GET', `/v1/admin/sandboxes/${id}`)).json['status'];
  const isReady = async (here: BrokerHere) => (await here.asAdmin('GET', '/readyz')).status === 200;

  test.for([6, -6])(
    'by %d: decides nothing from its start on, says so, and serves when it is right',
    async (hours) => {
      const right = await startBrokerHere(endpoint);
      const leased = await right.asTrack('POST', ALLOCATE, 'student');
      expect(leased.status).toBe(201);
      const id = leased.json['sandbox_id'];

      const wrong = await startWithClock(hours * HOUR_MS, { DDB_TABLE_NAME: right.table });
      expect((await wrong.asAdmin('GET', '/readyz')).json).toMatchObject({
        status: 'not_ready',
        checks: {
          clock: expect.stringMatching(/^error: \d+ s (ahead of|behind) the store$/),
          dynamodb: 'ok',
        },
        error: { code: 'CLOCK_OFF' },
      });
      for (const refused of [
        await wrong.asTrack('POST', ALLOCATE, 'student'),
        await wrong.asTrack('POST', ALLOCATE, 'another'),
        await wrong.asTrack('POST', `/v1/sandboxes/${id}/mark-for-deletion`, 'student'),
        await wrong.asAdmin('POST', `/v1/admin/sandboxes/${id}/release`),
        await wrong.asAdmin('POST', '/v1/admin/expire'),
        await wrong.asAdmin('POST', '/v1/admin/cleanup'),
        await wrong.asAdmin('POST', '/v1/admin/jobs', { type: 'expire' }),
      ]) {
        expect(refused.status).toBe(503);
        expect(refused.json.error).toMatchObject({ code: 'CLOCK_OFF', retry_after: 5 });
        expect(refused.headers['retry-after']).toBe('5');
      }
      expect((await wrong.asTrack('GET', `/v1/sandboxes/${id}`, 'student')).json['status']).toBe('allocated');
      expect(await wrong.metric('broker_clock_offset_seconds')).toBeCloseTo(hours * 3_600, -1);
      await until(async () => Number(await wrong.metric('broker_expiry_total{outcome="error"}')) >= 2, {
        what: 'its loops have tried again and again',
      });
      await until(async () => (await alertsOf(right)).length > 0, { what: 'the other learns of its alert' });
      expect(await alertsOf(right)).toEqual(['clock clock_off']);
      expect(await statusOf(right, id)).toBe('allocated');
      expect((await right.asTrack('POST', ALLOCATE, 'student')).json['sandbox_id']).toBe(id);

      wrong.machine.aheadMs = 0;
      await until(() => isReady(wrong), { what: 'it is ready by itself' });
      expect((await wrong.asTrack('POST', ALLOCATE, 'student')).json['sandbox_id']).toBe(id);
      expect((await wrong.asTrack('POST', ALLOCATE, 'another')).status).toBe(201);
      expect(await wrong.metric('broker_clock_offset_seconds')).toBe(0);
    },
  );

  test('notices a jump before the very next decision', async () => {
    const here = await startWithClock(0);
    const leased = await here.asTrack('POST', ALLOCATE, 'student');
    expect(leased.status).toBe(201);
    const id = leased.json['sandbox_id'];
    const word = { state: 'open', duration_seconds: 3_600 };
    expect((await here.asAdmin('POST', '/v1/admin/breakers/webhook/override', word)).status).toBe(200);

    here.machine.aheadMs = 6 * HOUR_MS;
    expect((await here.asTrack('POST', ALLOCATE, 'another')).json.error?.code).toBe('CLOCK_OFF');
    const errors = Number(await here.metric('broker_expiry_total{outcome="error"}'));
    await until(async () => Number(await here.metric('broker_expiry_total{outcome="error"}')) > errors + 1, {
      what: 'the loop has come by',
    });
    expect(await statusOf(here, id)).toBe('allocated');
    const { json } = await here.asAdmin('GET', '/v1/admin/breakers');
    expect(json['breakers'], 'an operator’s word holds').toContainEqual(
      expect.objectContaining({ name: 'webhook', state: 'open' }),
    );

    here.machine.aheadMs = 0;
    await until(() => isReady(here), { what: 'it is ready by itself' });
    expect((await here.asTrack('POST', ALLOCATE, 'student')).json['sandbox_id']).toBe(id);
  });
});
