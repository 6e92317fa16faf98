import { expect, it, vi } from 'vitest';
import { ApiError, explain } from '../../src/console/page/broker/api.ts';
import type { SandboxRecord } from '../../src/console/page/broker/records.ts';
import { sorted } from '../../src/console/page/sandboxes/sorting.ts';
import {
  countsText,
  fromNow,
  latency,
  moment,
  rate,
  span,
  timeOfDay,
  zoneAt,
} from '../../src/console/page/wording.ts';

it.each([
  [0, '0 s'],
  [59.4, '59 s'],
  [60, '1 min'],
  [125, '2 min 5 s'],
  [3_599, '59 min'],
  [3_600, '1 h'],
  [7_500, '2 h 5 min'],
  [90_000, '1 d 1 h'],
])('says %d seconds as %s', (seconds, text) => expect(span(seconds)).toBe(text));

it('says how far away a moment is', () => {
  const nowMs = 1_000_000;
  expect([999, 1_000, 970, 1_090].map((at) => fromNow(at, nowMs))).toEqual([
    'now',
    'now',
    '30 s ago',
    'in 1 min 30 s',
  ]);
});

it.each([
  ['UTC', '2026-03-01 23:05:09 UTC'],
  ['Europe/Berlin', '2026-03-02 00:05:09 UTC+1'],
  ['America/St_Johns', '2026-03-01 19:35:09 UTC−3:30'],
])('has one clock, of 24 hours, and says its zone: %s', (zone, text) => {
  vi.stubEnv('TZ', zone);
  const at = Date.UTC(2026, 2, 1, 23, 5, 9) / 1_000;
  expect(moment(at)).toBe(text);
  expect(`${timeOfDay(at, false)} ${zoneAt(at)}`).toBe(text.slice(11).replace(/:09/, ''));
  vi.unstubAllEnvs();
});

it('says durations, rates and counts in few figures', () => {
  expect([4.26, 42.4, 1_234, 12_345].map(latency)).toEqual(['4.3 ms', '42 ms', '1.23 s', '12.3 s']);
  expect([0, 0.44, 12.6, 1_234].map(rate)).toEqual(['0', '0.4', '13', '1,234']);
  expect(countsText({ due: 1_200, failed: 0, dry_run_blocked: 2, duration_ms: 9 })).toBe(
    '1,200 due, 2 dry run blocked',
  );
  expect(countsText({ failed: 0 })).toBe('nothing to do');
});

it.each([
  [
    new ApiError('The broker does not answer.', { status: 0, code: 'UNREACHABLE' }),
    'The broker does not answer.',
  ],
  [new ApiError('x', { status: 401, code: 'UNAUTHORIZED' }), 'This token is not known to the broker.'],
  [
    new ApiError('Wait.', { status: 429, code: 'QUOTA_EXCEEDED', retryAfterSeconds: 7 }),
    'Too many requests: Wait. Try again in 7 s.',
  ],
  [
    new ApiError('The store is away.', { status: 503, code: 'STORE_UNAVAILABLE', retryAfterSeconds: 1 }),
    'The broker cannot do that at the moment: The store is away. Try again in 1 s.',
  ],
  [new ApiError('This one is stale.', { status: 409, code: 'INVALID_STATE' }), 'This one is stale.'],
  [new TypeError('x is undefined'), 'Something went wrong on this page. Reload it.'],
])('explains %s', (error, text) => expect(explain(error)).toBe(text));

it('sorts names as people count, leaves what has no value at the end, and what it was given as it was', () => {
  const row = (name: string, holder?: string): SandboxRecord => ({
    sandbox_id: name,
    name,
    external_id: name,
    status: 'available',
    created_at: 0,
    updated_at: name.length,
    ...(holder !== undefined && { allocated_to_track: holder }),
  });
  const rows = [row('lab-10', 'b'), row('lab-9'), row('lab-2', 'a')];
  const names = (...sorting: Parameters<typeof sorted>) => sorted(...sorting).map(({ name }) => name);
  expect(names(rows, { column: 'name', isDescending: false })).toEqual(['lab-2', 'lab-9', 'lab-10']);
  expect(names(rows, { column: 'holder', isDescending: false })).toEqual(['lab-2', 'lab-10', 'lab-9']);
  expect(names(rows, { column: 'holder', isDescending: true })).toEqual(['lab-10', 'lab-2', 'lab-9']);
  expect(names(rows, { column: 'updated', isDescending: true })[0]).toBe('lab-10');
  expect(names(rows, undefined)).toEqual(['lab-10', 'lab-9', 'lab-2']);
});
