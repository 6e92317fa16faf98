import { describe, expect, test } from 'vitest';
import { START_MS } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, startApp } from '../../../support/broker/http-app.ts';

describe('what is done to many at once', () => {
  test('POST /v1/admin/retry-deletions tells what became of all of them, and which could not be changed', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/admin/retry-deletions?prefix=lab-&lab=intro&limit=20', {
      headers: asAdmin(),
    });
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        status: 'completed',
        found: 3,
        retried: 1,
        skipped: 1,
        failed: 1,
        retried_sandboxes: ['sbx-1'],
        failed_sandboxes: ['sbx-3'],
        duration_ms: expect.any(Number),
      },
    ]);
    expect(recorded.of('retryDeletions')[0]).toMatchObject([
      { prefix: 'lab-', lab: 'intro', limit: 20 },
      { actor: 'admin' },
    ]);
  });

  test('POST /v1/admin/release tells what became of all of them, and where the rest begins', async () => {
    const { call, recorded } = await startApp();
    const query = 'holder_prefix=student-&leased_before=1767225600&limit=500&cursor=here';
    const answer = await call('POST', `/v1/admin/release?${query}`, { headers: asAdmin() });
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        status: 'completed',
        found: 3,
        released: 1,
        skipped: 1,
        failed: 1,
        released_sandboxes: ['sbx-1'],
        failed_sandboxes: ['sbx-3'],
        cursor: 'the-rest',
        duration_ms: expect.any(Number),
      },
    ]);
    expect(recorded.of('releaseSandboxes')[0]).toMatchObject([
      { holderPrefix: 'student-', leasedBefore: 1_767_225_600, limit: 500, cursor: 'here' },
      { actor: 'admin' },
    ]);
  });

  test('GET /v1/admin/sandbox-count counts what a filter means, and says as of when', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('GET', '/v1/admin/sandbox-count?status=allocated&holder_prefix=a&find=x', {
      headers: asAdmin(),
    });
    expect([answer.status, answer.json]).toEqual([200, { count: 3, as_of: START_MS / 1000 }]);
    expect(recorded.of('countSandboxes')[0]).toMatchObject([
      { status: 'allocated', holderPrefix: 'a', find: 'x' },
      { actor: 'admin' },
    ]);
  });

  test.each([
    ['retry-deletions?prefix=', 'prefix'],
    ['retry-deletions?status=stale', 'status'],
    ['retry-deletions?limit=501', 'limit'],
    ['release', 'all'],
    ['release?limit=5', 'all'],
    ['release?leased_before=5', 'all'],
    ['release?all=yes', 'all'],
    ['release?all=true&leased_before=1e9', 'leased_before'],
    ['release?holder=', 'holder'],
    ['release?status=allocated', 'status'],
    ['bulk-delete', 'status'],
    ['bulk-delete?status=allocated', 'status'],
    ['bulk-delete?status=stale,deletion_failed', 'status'],
  ])('POST /v1/admin/%s is 400 and names the parameter', async (path, name) => {
    const { call, recorded } = await startApp();
    const { status, json } = await call('POST', `/v1/admin/${path}`, { headers: asAdmin() });
    expect(status).toBe(400);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'query', name });
    expect(recorded.calls.filter(([called]) => !called.startsWith('metrics.'))).toEqual([]);
  });
});
