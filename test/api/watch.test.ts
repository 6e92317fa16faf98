import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { READINESS_CHECKS } from '../../src/telemetry/metric-labels.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const LOOPS = ['sync', 'cleanup', 'expiry', 'purge', 'counts'];

describeOnFastEngine('the watch over the broker', ({ endpoint }) => {
  it('says GO, shows every check, and lets only operators see it', async () => {
    const { asAdmin, asTrack } = await startBrokerHere(endpoint);

    const { status, json } = await asAdmin('GET', '/v1/admin/readiness');
    expect(status).toBe(200);
    expect(json).toMatchObject({
      verdict: 'go',
      reasons: [],
      is_ready: true,
      total_checks: READINESS_CHECKS.length,
      passed_checks: READINESS_CHECKS.length,
      failed_checks: 0,
    });
    expect(Object.keys(json.checks as object).sort()).toEqual([...READINESS_CHECKS].sort());
    const runtime = await asAdmin('GET', '/v1/admin/runtime');
    expect(runtime.json).toMatchObject({ status: 'warning' });
    for (const page of ['readiness', 'runtime', 'heartbeats', 'metrics-guard', 'status']) {
      expect([page, (await asTrack('GET', `/v1/admin/${page}`, 'me')).status]).toEqual([page, 403]);
    }
  });

  it('hears of every loop and of the worker', async () => {
    const { asAdmin, metric } = await startBrokerHere(endpoint, { SANDBOX_HEARTBEAT_INTERVAL: '0.05' });
    await until(async () => ((await metric('broker_heartbeat_age_seconds{loop="worker"}')) ?? 0) > 0, {
      what: 'the first look at the heartbeats',
    });

    const { json } = await asAdmin('GET', '/v1/admin/heartbeats');
    expect(Object.keys(json).sort()).toEqual([...LOOPS, 'worker'].sort());
    for (const report of Object.values(json)) {
      expect(report).toMatchObject({ is_running: true, is_healthy: true, total_checks: expect.any(Number) });
    }
  });

  it('says that a loop hangs and serves tracks all the same, and alerts once', async () => {
    const csp = await startFakeCsp({ token: 'csp-token' });
    for (let i = 0; i < 5; i++) csp.add(account());
    const held = Promise.withResolvers<void>();
    const { asAdmin, asTrack } = await startBrokerHere(endpoint, {
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: 'csp-token',
      SANDBOX_HEARTBEAT_INTERVAL: '0.05',
      SANDBOX_HEARTBEAT_TIMEOUT: '1',
      SYNC_INTERVAL_SEC: '0.1',
    });
    csp.faults.add('list', { kind: 'hold', until: held.promise });
    const hung = async () =>
      (await asAdmin('GET', '/v1/admin/readiness')).json.checks as Record<string, unknown>;
    // On a busy machine another loop may seem to hang for a moment, too.
    const onlySync = { status: 'degraded', detail: 'no sign of life from sync' };
    await until(async () => isDeepStrictEqual((await hung()).heartbeats, onlySync), {
      what: 'the hang to be noticed',
    });

    expect((await asAdmin('GET', '/v1/admin/readiness')).json).toMatchObject({
      verdict: 'degraded',
      is_ready: true,
      checks: { heartbeats: onlySync },
    });
    const probe = await asAdmin('GET', '/readyz');
    expect(probe.status).toBe(200);
    expect(probe.json.checks).toMatchObject({
      heartbeats: 'degraded: no sign of life from sync',
      dynamodb: 'ok',
    });
    expect((await asTrack('POST', '/v1/allocate', 'student')).status).toBe(201);
    const alertsOf = async (reason: string) => {
      const { json } = await asAdmin('GET', '/v1/admin/alerts?task=sync');
      return (json.alerts as { reason: string }[]).filter((alert) => alert.reason === reason).length;
    };
    await until(async () => (await alertsOf('heartbeat_hung')) === 1, { what: 'the alert' });

    held.resolve();
    await until(async () => (await alertsOf('heartbeat_back')) === 1, {
      what: 'the loop to be back',
    });
    expect(await alertsOf('heartbeat_hung')).toBe(1);
    await csp.close();
  });

  it('says everywhere that it serves, but has none to give, and GO again when there is one', async () => {
    const { asAdmin, asTrack, metric } = await startBrokerHere(endpoint);
    for (let n = 0; n < 5; n++)
      expect((await asTrack('POST', '/v1/allocate', `student-${n}`)).status).toBe(201);
    expect((await asAdmin('POST', '/v1/admin/expire')).status).toBe(200);
    const verdicts = async () => {
      const [probe, report, status] = await Promise.all([
        asAdmin('GET', '/readyz'),
        asAdmin('GET', '/v1/admin/readiness'),
        asAdmin('GET', '/v1/admin/status'),
      ]);
      const { readiness } = status.json as { readiness: { verdict: string } };
      return [probe.status, probe.json['verdict'], report.json['verdict'], readiness.verdict];
    };
    await expect.poll(verdicts, { timeout: 20_000 }).toEqual([200, 'degraded', 'degraded', 'degraded']);

    const why = 'exhausted, no sandbox is free (5 allocated)';
    const probe = await asAdmin('GET', '/readyz');
    expect(probe.json).toMatchObject({
      status: 'ready',
      reasons: [`pool: ${why}`],
      checks: { pool: `degraded: ${why}`, dynamodb: 'ok' },
    });
    expect(await metric('broker_readiness{check="pool"}')).toBe(1);
    expect((await asTrack('POST', '/v1/allocate', 'too-late')).status).toBe(409);

    const { json } = await asTrack('POST', '/v1/allocate', 'student-0');
    await asTrack('POST', `/v1/sandboxes/${json['sandbox_id']}/mark-for-deletion`, 'student-0');
    expect((await asAdmin('POST', '/v1/admin/cleanup')).status).toBe(200);
    await expect.poll(verdicts, { timeout: 20_000 }).toEqual([200, 'go', 'go', 'go']);
    expect(await metric('broker_readiness{check="pool"}')).toBe(0);
  });

  it('says that the last sync failed, and why', async () => {
    const csp = await startFakeCsp({ token: 'csp-token' });
    csp.add(account());
    const { asAdmin } = await startBrokerHere(endpoint, {
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: 'csp-token',
      RETRY_MAX_RETRIES: '0',
    });
    const sync = async () => (await asAdmin('POST', '/v1/admin/sync')).status;
    await expect.poll(sync).toBe(200);
    csp.faults.add('list', { kind: 'respond', status: 403 });
    expect(await sync()).toBe(502);
    const readiness = async () => (await asAdmin('GET', '/v1/admin/readiness')).json;
    expect(await readiness()).toMatchObject({
      verdict: 'degraded',
      reasons: ['sync: the last one failed (unauthorized)'],
    });
    expect(await sync()).toBe(200);
    expect(await readiness()).toMatchObject({ verdict: 'go' });
    await csp.close();
  });

  it('tells an operator everything in one call, from memory', async () => {
    const { asAdmin, asTrack } = await startBrokerHere(endpoint, { DRY_RUN: 'true' });
    expect((await asTrack('POST', '/v1/allocate', 'student')).status).toBe(201);
    const job = await asAdmin('POST', '/v1/admin/jobs', { type: 'expire' }, { 'idempotency-key': 'once' });
    expect(job.status).toBe(202);
    const read = async () => (await asAdmin('GET', '/v1/admin/status')).json;
    await until(async () => (await read()).completed_jobs === 1, { what: 'the job to be counted' });
    await until(async () => (await read()).readiness, { what: 'the first look' });

    expect(await read()).toMatchObject({
      readiness: { is_ready: true },
      heartbeat: { sync: { is_running: true, is_healthy: true } },
      governor: expect.arrayContaining([expect.objectContaining({ resource: 'api_call' })]),
      worker_queue_length: 0,
      completed_jobs: 1,
      alerts: expect.any(Array),
      idempotent_operations: 1,
      breakers: [{ name: 'csp_list' }, { name: 'csp_delete' }, { name: 'webhook' }],
      dry_run: { enabled: true, strict: false, blocked: expect.any(Number) },
      replicas: [expect.any(String)],
      pool: { total: 5 },
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      uptime: expect.any(Number),
    });
  });

  it('shows which labels of the metrics are watched, and counts 150 unknown paths as one series', async () => {
    const { asAdmin } = await startBrokerHere(endpoint);
    for (let i = 0; i < 150; i++) expect((await asAdmin('GET', `/nothing/${i}`)).status).toBe(404);

    const { json } = await asAdmin('GET', '/v1/admin/metrics-guard');
    expect(json).toMatchObject({ mode: 'strict', max_values: 100, violations: {} });
    const labels = json.labels as { metric: string; label: string; values: number }[];
    const endpoints = labels.find(
      ({ metric, label }) => metric === 'http_requests_total' && label === 'endpoint',
    );
    expect(endpoints?.values).toBeLessThan(5);
  });
});
