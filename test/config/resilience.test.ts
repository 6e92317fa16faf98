import { expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config/index.ts';

test('by default retries three times from 1 s to 60 s, and five failures open a breaker for a minute', () => {
  expect(loadConfig({})).toMatchObject({
    retry: { retries: 3, baseMs: 1_000, maxMs: 60_000, multiplier: 2 },
    retryAlerts: { rateWindowMs: 3_600_000, spikeWindowMs: 300_000, spikeCooldownMs: 900_000 },
    breaker: { failures: 5, openMs: 60_000, maxOpenMs: 600_000, manualReset: false },
    deleteEvidence: { failures: 5, share: 0.5, atLeast: 10, windowMs: 300_000 },
    deleteMayRunMs: 120_000,
  });
});

test('every one of it can be set', () => {
  const env = {
    RETRY_MAX_RETRIES: '0',
    RETRY_BASE_DELAY_SEC: '0.25',
    RETRY_MAX_DELAY_SEC: '10',
    RETRY_MULTIPLIER: '1.5',
    RETRY_RATE_WINDOW_SEC: '60',
    RETRY_SPIKE_WINDOW_SEC: '0.5',
    RETRY_SPIKE_COOLDOWN_SEC: '0',
    BREAKER_FAILURES: '1',
    BREAKER_OPEN_SEC: '2.5',
    BREAKER_MAX_OPEN_SEC: '10',
    BREAKER_SHARE: '0.25',
    BREAKER_SHARE_AT_LEAST: '20',
    BREAKER_SHARE_WINDOW_SEC: '60',
    BREAKER_MANUAL_RESET: 'true',
    DELETE_MAY_RUN_SEC: '90',
  };
  expect(loadConfig(env)).toMatchObject({
    retry: { retries: 0, baseMs: 250, maxMs: 10_000, multiplier: 1.5 },
    retryAlerts: { rateWindowMs: 60_000, spikeWindowMs: 500, spikeCooldownMs: 0 },
    breaker: { failures: 1, openMs: 2_500, maxOpenMs: 10_000, manualReset: true },
    deleteEvidence: { failures: 1, share: 0.25, atLeast: 20, windowMs: 60_000 },
    deleteMayRunMs: 90_000,
  });
});

test('a first wait that is longer than the longest one stops the start', () => {
  const load = () => loadConfig({ RETRY_BASE_DELAY_SEC: '61' });
  expect(load).toThrow(ConfigError);
  expect(load).toThrow('RETRY_BASE_DELAY_SEC (61) must not exceed RETRY_MAX_DELAY_SEC (60)');
});

test('a first rest of a breaker that is longer than the longest one stops the start', () => {
  const load = () => loadConfig({ BREAKER_OPEN_SEC: '601' });
  expect(load).toThrow('BREAKER_OPEN_SEC (601) must not exceed BREAKER_MAX_OPEN_SEC (600)');
});

test.each([
  ['BREAKER_SHARE', '0'],
  ['BREAKER_SHARE', '1.5'],
  ['BREAKER_SHARE_AT_LEAST', '0'],
  ['BREAKER_SHARE_WINDOW_SEC', '0'],
  ['BREAKER_MANUAL_RESET', 'perhaps'],
  ['DELETE_MAY_RUN_SEC', '0'],
  ['RETRY_MAX_RETRIES', '21'],
  ['RETRY_MAX_RETRIES', '-1'],
  ['RETRY_MULTIPLIER', '0.5'],
  ['RETRY_BASE_DELAY_SEC', '0'],
  ['BREAKER_FAILURES', '0'],
  ['BREAKER_OPEN_SEC', '0'],
])('%s=%s stops the start', (name, value) => {
  expect(() => loadConfig({ [name]: value })).toThrow(name);
});
