import { describe, expect, test } from 'vitest';
import { START_MS } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, asTrack, startApp } from '../../../support/broker/http-app.ts';

const START = START_MS / 1000;
const ATTEMPTS = { '1': 5, '2': 1, '3': 0, '4-5': 0, '6-10': 0, '11-20': 0, '21+': 0 };

describe('GET /v1/admin/retries', () => {
  test('shows the histogram, the rate, the spikes, the windows and the attempts at each task', async () => {
    const open = {
      task: 'csp_delete:sbx-1',
      firstAttemptAtMs: START_MS,
      lastAttemptAtMs: START_MS + 2_500,
      attempts: 2,
    };
    const { call } = await startApp({
      retries: {
        report: async () => ({
          attempts: ATTEMPTS,
          rate: { windowMs: 3_600_000, jobs: 12, retried: 9, rate: 0.75, isAnomalous: true },
          spike: {
            windowMs: 300_000,
            retries: 40,
            mean: 2.5,
            completedWindows: 3,
            lastSpikeAtMs: START_MS,
          },
          open: [open],
          ended: [{ ...open, task: 'csp_list', attempts: 3, result: 'success', endedAtMs: START_MS + 2_500 }],
          shared: true,
          tasks: [
            {
              task: 'csp_list',
              attempts: [
                { atMs: START_MS, attempt: 1, outcome: 'timeout', waitMs: 1_250 },
                { atMs: START_MS + 1_500, attempt: 2, outcome: 'success' },
              ],
            },
          ],
        }),
      },
    });
    const answer = await call('GET', '/v1/admin/retries', { headers: asAdmin() });
    expect(answer.status).toBe(200);
    const window = { first_attempt_at: START, last_attempt_at: START + 2 };
    expect(answer.json).toEqual({
      attempts: ATTEMPTS,
      rate: { window_seconds: 3_600, jobs: 12, retried: 9, rate: 0.75, anomalous: true },
      spike: { window_seconds: 300, retries: 40, usual: 2.5, completed_windows: 3, last_spike_at: START },
      open: [{ task: 'csp_delete:sbx-1', ...window, attempts: 2 }],
      ended: [
        {
          task: 'csp_list',
          ...window,
          attempts: 3,
          result: 'success',
          ended_at: START + 2,
          window_seconds: 2.5,
        },
      ],
      shared: true,
      tasks: [
        {
          task: 'csp_list',
          attempts: [
            { at: START, attempt: 1, outcome: 'timeout', wait_seconds: 1.25 },
            { at: START + 1, attempt: 2, outcome: 'success' },
          ],
        },
      ],
    });
  });

  test('asks for all tasks, or for those whose names begin so', async () => {
    const { call, recorded } = await startApp();
    await call('GET', '/v1/admin/retries', { headers: asAdmin() });
    await call('GET', '/v1/admin/retries?task=csp_delete%3A', { headers: asAdmin() });
    expect(recorded.of('retries.report').map(([task]) => task)).toEqual(['', 'csp_delete:']);
  });

  test.each(['task=', `task=${'x'.repeat(257)}`, 'tsak=x'])('%s is 400', async (query) => {
    const { call } = await startApp();
    expect((await call('GET', `/v1/admin/retries?${query}`, { headers: asAdmin() })).status).toBe(400);
  });

  test('is for operators', async () => {
    const { call } = await startApp();
    expect((await call('GET', '/v1/admin/retries')).status).toBe(401);
    expect((await call('GET', '/v1/admin/retries', { headers: asTrack() })).status).toBe(403);
  });
});
