import { describe, expect, test } from 'vitest';
import type { RaisedAlert } from '../../../../src/domain/resilience/alert.ts';
import { raised } from '../../../support/broker/alerts.ts';
import { startBrokerHere } from '../../../support/broker/broker-here.ts';
import { fakeAppDeps, START_MS } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, asTrack, startApp } from '../../../support/broker/http-app.ts';
import { describeOnFastEngine } from '../../../support/store/engines.ts';

describe('GET /v1/admin/alerts', () => {
  test('shows the alerts, and where they come from', async () => {
    const { useCases } = fakeAppDeps().deps;
    const alert = raised({ atMs: START_MS + 999, context: { missing: 3, correlation_id: 'c-1' } });
    const { call } = await startApp({
      useCases: {
        ...useCases,
        listAlerts: async () => ({ alerts: [alert], complete: false, stored: false }),
      },
    });
    const answer = await call('GET', '/v1/admin/alerts', { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      alerts: [
        {
          id: alert.id,
          timestamp: START_MS / 1000,
          task: 'sync',
          reason: 'shrink_guard',
          severity: 'critical',
          context: { missing: 3, correlation_id: 'c-1' },
          replica: 'replica-1',
          runbook: '/handbook#shrink_guard',
        },
      ],
      count: 1,
      complete: false,
      source: 'this_replica',
    });
  });

  test.each([
    ['', { limit: 100 }],
    ['?limit=0', { limit: 0 }],
    ['?limit=1000&severity=error', { limit: 1_000, severity: 'error' }],
    ['?min_severity=warning&task=pool', { limit: 100, minSeverity: 'warning', task: 'pool' }],
  ])('%s asks for what it says', async (query, expected) => {
    const { call, recorded } = await startApp();
    const answer = await call('GET', `/v1/admin/alerts${query}`, { headers: asAdmin() });
    expect(answer.json).toEqual({ alerts: [], count: 0, complete: true, source: 'all_replicas' });
    expect(recorded.of('listAlerts')[0]?.[0]).toEqual(expected);
  });

  test.each([
    ['limit=-1', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=', 'limit'],
    ['limit=1e2', 'limit'],
    ['severity=fatal', 'severity'],
    ['min_severity=', 'min_severity'],
    ['severity=error&severity=info', 'severity'],
    ['task=', 'task'],
    [`task=${'x'.repeat(129)}`, 'task'],
    ['level=error', 'level'],
  ])('%s is 400 and names the parameter', async (query, name) => {
    const { call, recorded } = await startApp();
    const { status, json } = await call('GET', `/v1/admin/alerts?${query}`, { headers: asAdmin() });
    expect(status).toBe(400);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'query', name });
    expect(recorded.of('listAlerts')).toEqual([]);
  });

  test('is for operators', async () => {
    const { call } = await startApp();
    expect((await call('GET', '/v1/admin/alerts')).status).toBe(401);
    expect((await call('GET', '/v1/admin/alerts', { headers: asTrack() })).status).toBe(403);
  });
});

describeOnFastEngine('an alert that a request raises', ({ endpoint }) => {
  test('carries the id of the request, is emitted, and no listener that throws is in its way', async () => {
    const heard: RaisedAlert[] = [];
    const { asAdmin, asTrack } = await startBrokerHere(endpoint, { SANDBOX_API_LIMIT: '20' }, (broker) => {
      broker.events.on('alert', () => {
        throw new Error('broken');
      });
      broker.events.on('alert', (alert) => heard.push(alert));
    });
    const sent = Array.from({ length: 21 }, () => asTrack('GET', '/v1/sandboxes/none', 'student-1'));
    const refused = (await Promise.all(sent)).find(({ status }) => status === 429);
    expect(refused?.json.error?.code).toBe('QUOTA_EXCEEDED');
    const denial = heard.find(({ task }) => task === 'governor');
    expect(denial?.context['request_id']).toBe(refused?.headers['x-request-id']);
    expect(denial?.context['correlation_id']).toBe(refused?.headers['x-correlation-id']);
    const { json } = await asAdmin('GET', '/v1/admin/alerts?task=governor');
    expect(json['alerts']).toMatchObject([{ id: denial?.id, context: denial?.context }]);
  });
});
