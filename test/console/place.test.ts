import { expect, it } from 'vitest';
import { placeOf, searchOf } from '../../src/console/page/place.ts';

const NOWHERE = {
  filter: { status: '', find: '', holder: '', lab: '' },
  sandbox: undefined,
  range: '6h',
  panel: undefined,
};

it('is nowhere without an address, and has none there', () => {
  expect(placeOf('')).toEqual(NOWHERE);
  expect(searchOf(placeOf(''))).toBe('');
});

it.each([
  '?status=allocated&holder=anna%26b&range=1h',
  '?find=lab+1&sandbox=sbx-1',
  '?range=15m&panel=jobs',
  '?status=deleted&lab=%C3%9Cbung',
])('comes back from its address: %s', (search) => expect(searchOf(placeOf(search))).toBe(search));

it('takes nothing from an address that makes no sense, and no more than a filter may be', () => {
  const place = placeOf(
    `?status=free&range=toString&token=secret&panel=admin&holder=${'h'.repeat(200)}&sandbox=`,
  );
  expect(place).toEqual({ ...NOWHERE, filter: { ...NOWHERE.filter, holder: 'h'.repeat(128) } });
  expect(searchOf(place)).not.toContain('secret');
});
