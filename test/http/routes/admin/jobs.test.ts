import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../src/domain/errors.ts';
import type { Job } from '../../../../src/domain/job.ts';
import { fakeAppDeps, pendingJob } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, startApp, type TestApp } from '../../../support/broker/http-app.ts';

const post = ({ call }: TestApp, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  call('POST', path, {
    headers: asAdmin({ ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }),
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });

describe('POST /v1/admin/jobs', () => {
  test.each([
    [{ type: 'sync' }, { type: 'sync', options: { force: false } }],
    [
      { type: 'sync', options: { force: true } },
      { type: 'sync', options: { force: true } },
    ],
    [{ type: 'cleanup' }, { type: 'cleanup', options: {} }],
    [
      { type: 'expire', options: {} },
      { type: 'expire', options: {} },
    ],
    [{ type: 'purge' }, { type: 'purge', options: { gracePeriodHours: 24 } }],
    [
      { type: 'purge', options: { grace_period_hours: 0.5 } },
      { type: 'purge', options: { gracePeriodHours: 0.5 } },
    ],
  ])('%j is 202 with the id, and where to ask for it', async (body, request) => {
    const app = await startApp();
    const answer = await post(app, '/v1/admin/jobs', body, { 'x-correlation-id': 'mine' });
    expect(answer.status).toBe(202);
    expect(answer.json).toEqual({ job_id: pendingJob.id, status: 'pending' });
    expect(answer.headers.location).toBe(`/v1/admin/jobs/${pendingJob.id}`);
    expect(answer.headers['preference-applied']).toBeUndefined();
    expect(app.recorded.of('submitJob')[0]).toMatchObject([
      request,
      { actor: 'admin', requestId: 'id-1', correlationId: 'mine' },
    ]);
  });

  test.each([
    [undefined, 'type'],
    ['', 'type'],
    [{}, 'type'],
    [[], 'body'],
    [{ type: 'restart' }, 'type'],
    [{ type: 'sync', force: true }, 'force'],
    [{ type: 'sync', options: { forec: true } }, 'forec'],
    [{ type: 'sync', options: { force: 'yes' } }, 'options/force'],
    [{ type: 'sync', options: null }, 'options'],
    [{ type: 'cleanup', options: { all: true } }, 'all'],
    [{ type: 'purge', options: { grace_period_hours: -1 } }, 'options/grace_period_hours'],
    [{ type: 'purge', options: { grace_period_hours: 8761 } }, 'options/grace_period_hours'],
    [{ type: 'purge', options: { grace_period_hours: '24' } }, 'options/grace_period_hours'],
  ])('%j is 400 and names %s', async (body, name) => {
    const app = await startApp();
    const answer = await post(app, '/v1/admin/jobs', body);
    expect(answer.status).toBe(400);
    expect(answer.json.error?.details?.fields?.[0]).toMatchObject({ in: 'body', name });
    expect(app.recorded.of('submitJob')).toEqual([]);
  });

  test('a wrong type is told the right ones, a wrong option no nonsense', async () => {
    const app = await startApp();
    const wrong = await post(app, '/v1/admin/jobs', { type: 'restart' });
    expect(wrong.json.error?.message).toBe(
      'Body field type is needed, and must be one of sync, cleanup, expire, purge.',
    );
    const misspelt = await post(app, '/v1/admin/jobs', { type: 'sync', options: { forec: true } });
    expect(misspelt.json.error?.message).toBe('Body field forec is not known here.');
  });

  test('a full queue is 503 and says when to come back', async () => {
    const { useCases } = fakeAppDeps().deps;
    const error = new BrokerError('BUSY', 'Full.', { retryAfterSeconds: 30 });
    const app = await startApp({ useCases: { ...useCases, submitJob: () => Promise.reject(error) } });
    const answer = await post(app, '/v1/admin/jobs', { type: 'sync' });
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '30']);
  });
});

describe('Prefer: respond-async', () => {
  test.each([
    ['sync', { type: 'sync', options: { force: false } }],
    ['sync?force=true', { type: 'sync', options: { force: true } }],
    ['cleanup', { type: 'cleanup', options: {} }],
    ['expire', { type: 'expire', options: {} }],
    ['auto-delete-stale?grace_period_hours=3', { type: 'purge', options: { gracePeriodHours: 3 } }],
  ])('makes a job of POST /v1/admin/%s', async (path, request) => {
    const app = await startApp();
    const answer = await post(app, `/v1/admin/${path}`, undefined, { prefer: 'respond-async' });
    expect(answer.status).toBe(202);
    expect(answer.json).toEqual({ job_id: pendingJob.id, status: 'pending' });
    expect(answer.headers.location).toBe(`/v1/admin/jobs/${pendingJob.id}`);
    expect(answer.headers['preference-applied']).toBe('respond-async');
    expect(app.recorded.of('submitJob')[0]).toMatchObject([request, { actor: 'admin' }]);
    expect(app.recorded.calls.some(([name]) => ['sync', 'cleanup', 'expire', 'purge'].includes(name))).toBe(
      false,
    );
  });

  test.each(['Respond-Async', 'wait=10, respond-async', 'handling=lenient , respond-async; foo="b"'])(
    'is understood as "%s"',
    async (prefer) => {
      const app = await startApp();
      expect((await post(app, '/v1/admin/sync', undefined, { prefer })).status).toBe(202);
    },
  );

  test.each(['respond-asynchronously', 'wait=respond-async', 'return=minimal', ''])(
    'is not meant by "%s": the run is waited for',
    async (prefer) => {
      const app = await startApp();
      const answer = await post(app, '/v1/admin/sync', undefined, { prefer });
      expect(answer.status).toBe(200);
      expect(answer.headers['preference-applied']).toBeUndefined();
      expect(app.recorded.of('submitJob')).toEqual([]);
    },
  );

  test('may be one of several Prefer headers', async () => {
    const { call } = await startApp();
    const headers = Object.entries(asAdmin()).flat();
    const answer = await call('POST', '/v1/admin/sync', {
      headers: [...headers, 'prefer', 'wait=5', 'prefer', 'respond-async'],
    });
    expect(answer.status).toBe(202);
  });

  test('does not get around the checks of the parameters', async () => {
    const app = await startApp();
    const answer = await post(app, '/v1/admin/sync?force=maybe', undefined, { prefer: 'respond-async' });
    expect(answer.status).toBe(400);
    expect(app.recorded.of('submitJob')).toEqual([]);
  });
});

const claimed = {
  ...pendingJob,
  attempts: 2,
  claimId: 'claim-1',
  startedAtMs: pendingJob.submittedAtMs + 1_900,
};
const SHOWN = {
  job_id: pendingJob.id,
  type: 'sync',
  options: { force: false },
  submitted_at: 1_767_225_600,
  submitted_by: 'admin',
  request_id: 'id-1',
  correlation_id: 'id-1',
};

describe('GET /v1/admin/jobs/{id}', () => {
  test.each<[string, Job, object]>([
    ['pending', pendingJob, { status: 'pending', attempts: 0 }],
    [
      'waiting for a run',
      { ...pendingJob, notBeforeMs: pendingJob.submittedAtMs + 2_000 },
      { status: 'pending', attempts: 0, not_before: 1_767_225_602 },
    ],
    [
      'running',
      { ...claimed, status: 'running', worker: 'replica-1', leaseUntilMs: 0 },
      { status: 'running', attempts: 2, started_at: 1_767_225_601, worker: 'replica-1' },
    ],
    [
      'completed',
      {
        ...claimed,
        status: 'completed',
        endedAtMs: pendingJob.submittedAtMs + 9_000,
        result: { counts: { created: 3 }, durationMs: 7_100 },
      },
      {
        status: 'completed',
        attempts: 2,
        started_at: 1_767_225_601,
        ended_at: 1_767_225_609,
        result: { created: 3, duration_ms: 7_100 },
      },
    ],
    [
      'failed',
      {
        ...claimed,
        status: 'failed',
        endedAtMs: pendingJob.submittedAtMs + 9_000,
        error: { code: 'PROVIDER_UNAVAILABLE', message: 'No answer.' },
      },
      {
        status: 'failed',
        attempts: 2,
        started_at: 1_767_225_601,
        ended_at: 1_767_225_609,
        error: { code: 'PROVIDER_UNAVAILABLE', message: 'No answer.' },
      },
    ],
  ])('shows a job that is %s', async (_name, job, shown) => {
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({ useCases: { ...useCases, getJob: async () => job } });
    const answer = await call('GET', `/v1/admin/jobs/${job.id}`, { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ ...SHOWN, ...shown });
  });

  test('an unknown one is 404, what cannot be an id is 400', async () => {
    const { useCases } = fakeAppDeps().deps;
    const error = new BrokerError('JOB_NOT_FOUND', 'No such job.');
    const { call } = await startApp({ useCases: { ...useCases, getJob: () => Promise.reject(error) } });
    const unknown = await call('GET', '/v1/admin/jobs/job-1', { headers: asAdmin() });
    expect([unknown.status, unknown.json.error?.code]).toEqual([404, 'JOB_NOT_FOUND']);
    expect((await call('GET', '/v1/admin/jobs/a%2Fb', { headers: asAdmin() })).status).toBe(400);
    expect((await call('GET', `/v1/admin/jobs/${'a'.repeat(65)}`, { headers: asAdmin() })).status).toBe(400);
  });
});

describe('GET /v1/admin/jobs', () => {
  test('is a page with a count, and no cursor on the last one', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('GET', '/v1/admin/jobs', { headers: asAdmin() });
    expect(answer.json).toEqual({ jobs: [{ ...SHOWN, status: 'pending', attempts: 0 }], count: 1 });
    expect(recorded.of('listJobs')[0]).toMatchObject([{ limit: 50 }, { actor: 'admin' }]);
  });

  test('passes on what is asked for, and hands out the cursor', async () => {
    const { useCases } = fakeAppDeps().deps;
    const inputs: unknown[] = [];
    const { call } = await startApp({
      useCases: {
        ...useCases,
        listJobs: async (input) => {
          inputs.push(input);
          return { jobs: [], cursor: 'next' };
        },
      },
    });
    const query = 'status=failed&type=cleanup&limit=1&cursor=abc';
    const answer = await call('GET', `/v1/admin/jobs?${query}`, { headers: asAdmin() });
    expect(answer.json).toEqual({ jobs: [], count: 0, cursor: 'next' });
    expect(inputs).toEqual([{ status: 'failed', type: 'cleanup', limit: 1, cursor: 'abc' }]);
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=ten', 'limit'],
    ['status=done', 'status'],
    ['type=restart', 'type'],
    ['kind=sync', 'kind'],
  ])('%s is 400 and names the parameter', async (query, name) => {
    const { call } = await startApp();
    const { status, json } = await call('GET', `/v1/admin/jobs?${query}`, { headers: asAdmin() });
    expect(status).toBe(400);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'query', name });
  });
});
