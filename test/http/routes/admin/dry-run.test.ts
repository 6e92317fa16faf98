import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../../../src/clock.ts';
import { ACTIONS, IRREVERSIBLE_ACTIONS } from '../../../../src/domain/resilience/action.ts';
import { createDryRunLock } from '../../../../src/safety/dry-run/dry-run.ts';
import { redaction } from '../../../../src/safety/redacted.ts';
import { createJobStore } from '../../../../src/store/shared/jobs.ts';
import { type BrokerHere, startBrokerHere } from '../../../support/broker/broker-here.ts';
import { createCountingClient } from '../../../support/broker/core.ts';
import { START_MS } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, startApp } from '../../../support/broker/http-app.ts';
import { describeOnFastEngine } from '../../../support/store/engines.ts';
import { until } from '../../../support/until.ts';

const clock = { nowMs: () => START_MS };
const lockOf = (enabled: boolean, strict = false) =>
  createDryRunLock({ actions: ACTIONS, clock, redact: redaction(), enabled, strict });

const IRREVERSIBLE_CALLS = [
  ['/v1/admin/cleanup', 'csp_delete'],
  ['/v1/admin/auto-delete-stale', 'stale_purge'],
  ['/v1/admin/bulk-delete?status=stale', 'bulk_delete'],
] as const;

describe.each(IRREVERSIBLE_CALLS)('POST %s', (path, action) => {
  test('says in a dry run that it was one', async () => {
    const { call } = await startApp({ dryRun: lockOf(true) });
    const answer = await call('POST', path, { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ status: 'completed', dry_run: true, action, result: null });
  });

  test('says nothing of it otherwise', async () => {
    const { call } = await startApp();
    const answer = await call('POST', path, { headers: asAdmin() });
    expect(answer.json).not.toHaveProperty('dry_run');
    expect(answer.json).not.toHaveProperty('result');
  });

  test('is refused under a strict lock, and not begun', async () => {
    const dryRun = lockOf(true, true);
    const { call, recorded } = await startApp({ dryRun });
    const answer = await call('POST', path, { headers: asAdmin() });
    expect(answer.status).toBe(403);
    expect(answer.json.error).toMatchObject({ code: 'DRY_RUN_LOCKED', details: { action } });
    expect(['cleanup', 'purge', 'bulkDelete'].flatMap((name) => recorded.of(name))).toEqual([]);
    expect(dryRun.log()).toMatchObject([{ action, status: 'dry_run_blocked' }]);
  });

  test('is nothing to a track: 403 for the token comes first', async () => {
    const { call } = await startApp({ dryRun: lockOf(true, true) });
    const answer = await call('POST', path, { headers: { authorization: 'Bearer track-token-for-tests' } });
    expect(answer.json.error?.code).toBe('FORBIDDEN');
  });
});

describe('a strict lock', () => {
  test.each([
    ['cleanup', 403],
    ['purge', 403],
    ['sync', 202],
    ['expire', 202],
  ])('a job of type %s is answered %i', async (type, status) => {
    const { call, recorded } = await startApp({ dryRun: lockOf(true, true) });
    const answer = await call('POST', '/v1/admin/jobs', {
      headers: asAdmin({ 'content-type': 'application/json' }),
      body: JSON.stringify({ type }),
    });
    expect(answer.status).toBe(status);
    expect(recorded.of('submitJob')).toHaveLength(status === 202 ? 1 : 0);
  });

  test.each(['/v1/admin/sync', '/v1/admin/expire', '/v1/admin/sandboxes/a/release'])(
    'lets POST %s through',
    async (path) => {
      const { call } = await startApp({ dryRun: lockOf(true, true) });
      expect((await call('POST', path, { headers: asAdmin() })).status).toBe(200);
    },
  );

  test('refuses what prefers not to wait, too, and keeps no answer of it', async () => {
    const { call, recorded } = await startApp({ dryRun: lockOf(true, true) });
    const headers = asAdmin({ prefer: 'respond-async', 'idempotency-key': 'k' });
    expect((await call('POST', '/v1/admin/cleanup', { headers })).status).toBe(403);
    expect([recorded.of('submitJob'), recorded.of('answers.begin')]).toEqual([[], []]);
  });
});

describe('GET /v1/admin/dry-run/log', () => {
  test('is empty at first, and says how the lock stands', async () => {
    const { call } = await startApp({ dryRun: lockOf(true) });
    const { status, json } = await call('GET', '/v1/admin/dry-run/log', { headers: asAdmin() });
    expect(status).toBe(200);
    expect(json).toEqual({ dry_run: true, strict: false, entries: [], count: 0 });
  });

  test('shows all entries, or those of one action, with times in epoch seconds and nothing secret', async () => {
    const dryRun = lockOf(false);
    dryRun.record({ action: 'csp_delete', status: 'executed', args: { sandbox_id: 'a', api_key: 'x' } });
    dryRun.record({ action: 'row_purge', status: 'error', args: { sandbox_id: 'b' } });
    const { call } = await startApp({ dryRun });
    const all = await call('GET', '/v1/admin/dry-run/log', { headers: asAdmin() });
    expect(all.json).toMatchObject({ dry_run: false, count: 2 });
    const one = await call('GET', '/v1/admin/dry-run/log?action=csp_delete', { headers: asAdmin() });
    expect(one.json['entries']).toEqual([
      {
        timestamp: START_MS / 1000,
        action: 'csp_delete',
        status: 'executed',
        args: { sandbox_id: 'a', api_key: '[redacted]' },
      },
    ]);
  });

  test('does not know an action that does not exist', async () => {
    const { call } = await startApp();
    const { status, json } = await call('GET', '/v1/admin/dry-run/log?action=format', { headers: asAdmin() });
    expect([status, json.error?.details?.fields?.[0]?.name]).toEqual([400, 'action']);
  });
});

describeOnFastEngine('a broker in a dry run', ({ endpoint }) => {
  const warnings: unknown[][] = [];
  const dryBroker = (env: Record<string, string> = {}) =>
    startBrokerHere(endpoint, { DRY_RUN: 'true', ...env }, (broker) => {
      vi.spyOn(broker.logger, 'warn').mockImplementation((...args: unknown[]) => void warnings.push(args));
    });
  const giveOneBack = async (here: BrokerHere): Promise<string> => {
    const { json } = await here.asTrack('POST', '/v1/allocate', 'holder-1');
    const sandboxId = String(json['sandbox_id']);
    await here.asTrack('POST', `/v1/sandboxes/${sandboxId}/mark-for-deletion`, 'holder-1');
    return sandboxId;
  };

  /** How a job ended: of this type, submitted here, or the one with this id. */
  const endOfJob = async (here: BrokerHere, typeOrId: string) => {
    const id = typeOrId.startsWith('job-')
      ? typeOrId
      : (await here.asAdmin('POST', '/v1/admin/jobs', { type: typeOrId })).json['job_id'];
    const look = async () => (await here.asAdmin('GET', `/v1/admin/jobs/${id}`)).json;
    await until(async () => ['completed', 'failed'].includes(String((await look())['status'])), {
      timeoutMs: 15_000,
      what: `the end of ${id}`,
    });
    return look();
  };

  test('leases and takes back, deletes nothing, says so everywhere, and changes no record', async () => {
    const here = await dryBroker();
    expect(warnings.flat()).toContainEqual(expect.objectContaining({ action: 'start', dry_run: true }));
    const sandboxId = await giveOneBack(here);
    const before = await here.asAdmin('GET', `/v1/admin/sandboxes/${sandboxId}`);
    expect(before.json).toMatchObject({ status: 'pending_deletion', deletion_retry_count: 0 });

    const run = await here.asAdmin('POST', '/v1/admin/cleanup');
    expect(run.status).toBe(200);
    expect(run.json).toMatchObject({
      status: 'completed',
      dry_run: true,
      action: 'csp_delete',
      result: null,
      due: 1,
      deleted: 0,
      recycled: 0,
      dry_run_blocked: 1,
    });
    const purge = await here.asAdmin('POST', '/v1/admin/auto-delete-stale');
    expect(purge.json).toMatchObject({
      dry_run: true,
      action: 'stale_purge',
      deleted: 0,
      dry_run_blocked: 0,
    });
    const bulk = await here.asAdmin('POST', '/v1/admin/bulk-delete?status=stale');
    expect(bulk.json).toMatchObject({ dry_run: true, action: 'bulk_delete', result: null, deleted: 0 });

    expect((await here.asAdmin('GET', `/v1/admin/sandboxes/${sandboxId}`)).json).toEqual(before.json);
    const log = await here.asAdmin('GET', '/v1/admin/dry-run/log?action=csp_delete');
    expect(log.json['entries']).toContainEqual(
      expect.objectContaining({
        status: 'dry_run_blocked',
        args: expect.objectContaining({ sandbox_id: sandboxId }),
      }),
    );
    expect(await here.metric('broker_dry_run_blocked_total{action="csp_delete"}')).toBe(1);
    expect(await here.metric('broker_dry_run_blocked_total{action="bulk_delete"}')).toBe(1);
    expect(await here.metric('broker_provider_calls_total{operation="delete",outcome="success"}')).toBe(0);
  });

  test('strict, answers 403 to operators, and to nobody else', async () => {
    const here = await dryBroker({ DRY_RUN: 'false', DRY_RUN_STRICT: 'true' });
    const sandboxId = await giveOneBack(here);
    for (const [path, action] of IRREVERSIBLE_CALLS) {
      const answer = await here.asAdmin('POST', path);
      expect([answer.status, answer.json.error?.code]).toEqual([403, 'DRY_RUN_LOCKED']);
      expect(await here.metric(`broker_dry_run_blocked_total{action="${action}"}`)).toBeGreaterThanOrEqual(1);
    }
    expect((await here.asAdmin('POST', '/v1/admin/expire')).status).toBe(200);
    expect((await here.asAdmin('GET', `/v1/admin/sandboxes/${sandboxId}`)).json['status']).toBe(
      'pending_deletion',
    );
  });

  test('says so of a job, too, whether there was anything to hold back or not', async () => {
    const here = await dryBroker();
    await giveOneBack(here);
    const cleanup = await endOfJob(here, 'cleanup');
    expect(cleanup).toMatchObject({ status: 'completed', dry_run: true, result: { dry_run_blocked: 1 } });
    expect(await endOfJob(here, 'purge')).toMatchObject({ dry_run: true, result: { dry_run_blocked: 0 } });
    expect(await endOfJob(here, 'expire')).not.toHaveProperty('dry_run');
  });

  test('strict, refuses its own loop and a job that another replica has accepted, and calls neither a failure', async () => {
    const lines = warnings.length;
    const here = await dryBroker({ DRY_RUN_STRICT: 'true' });
    await giveOneBack(here);
    const { client } = createCountingClient(endpoint, here.table);
    onTestFinished(() => client.close());
    const submitter = { actor: 'admin', requestId: 'r', correlationId: 'c' };
    const job = await createJobStore(client, systemClock, randomUUID).submit(
      { type: 'cleanup', options: {} },
      submitter,
    );
    expect(await endOfJob(here, job.id)).toMatchObject({
      status: 'failed',
      error: { code: 'DRY_RUN_LOCKED' },
    });
    expect(warnings.slice(lines).flat()).toContainEqual(
      expect.objectContaining({
        action: 'background_cleanup',
        outcome: 'refused',
        message: 'The cleanup was refused: the dry run is strict',
      }),
    );
    const { json } = await here.asAdmin('GET', '/v1/admin/alerts');
    expect(json['alerts']).toEqual([]);
    expect((await here.asAdmin('GET', '/v1/admin/stats')).json['pending_deletion']).toBe(1);
  });

  test('is no broker without one: deletes are done, logged as executed, and counted nowhere as blocked', async () => {
    const here = await startBrokerHere(endpoint);
    await giveOneBack(here);
    const run = await here.asAdmin('POST', '/v1/admin/cleanup');
    expect(run.json).toMatchObject({ recycled: 1 });
    expect(run.json).not.toHaveProperty('dry_run');
    const log = await here.asAdmin('GET', '/v1/admin/dry-run/log');
    expect(log.json).toMatchObject({ dry_run: false, strict: false });
    expect(log.json['entries']).toContainEqual(
      expect.objectContaining({ action: 'csp_delete', status: 'executed' }),
    );
    for (const action of IRREVERSIBLE_ACTIONS) {
      expect(await here.metric(`broker_dry_run_blocked_total{action="${action}"}`)).toBe(0);
    }
  });
});
