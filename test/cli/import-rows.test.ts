import { describe, expect, test } from 'vitest';
import { readRows } from '../../src/cli/import-rows.ts';

const ROW = { sandbox_id: 'sbx-1', name: 'lab-0001', external_id: 'accounts/1' };
const ITEM = { sandboxId: 'sbx-1', name: 'lab-0001', externalId: 'accounts/1', metadata: {} };

test('CSV and JSON say the same, an export included', () => {
  const csv = '\ufeffname,sandbox_id,external_id,sfdc_account_id\r\n"lab, one",sbx-1,accounts/1,001\r\n\r\n';
  expect(readRows(csv, 'csv').items).toEqual([
    { ...ITEM, name: 'lab, one', metadata: { sfdc_account_id: '001' } },
  ]);
  expect(readRows(JSON.stringify([ROW]), 'json').items).toEqual([ITEM]);
  const exported = { sandboxes: [{ ...ROW, status: 'available', created_at: 1 }], count: 1 };
  expect(readRows(JSON.stringify(exported), 'json').items).toEqual([ITEM]);
});

test('every bad row is told with its place and field, and nothing is read then', () => {
  const csv = [
    'sandbox_id,name,external_id,status',
    'sbx-1,lab-0001,accounts/1,',
    'sbx 2,,accounts/2,available',
    'sbx-1,lab-0003,accounts/3,',
    'sbx-4,lab-0004,accounts/4,allocated',
  ].join('\n');
  expect(readRows(csv, 'csv')).toEqual({
    items: [],
    problems: [
      'line 3: sandbox_id must be 1 to 128 of A-Z a-z 0-9 . _ : @ -',
      'line 3: name is missing',
      'line 4: sandbox_id is the same as in line 2',
      'line 5: status is "allocated": only what is available can be imported',
    ],
  });
});

describe('what is no list of sandboxes', () => {
  test.each<['csv' | 'json', string, RegExp]>([
    ['csv', 'a,b\n1,2,3\n', /no valid CSV: .*line 2/],
    ['csv', 'sandbox_id;name;external_id\nsbx-1;a;b\n', /^line 2: sandbox_id is missing/],
    ['json', '{', /no valid JSON/],
    ['json', '{"sandbox_id":"a"}', /must be an array/],
    ['json', '[null]', /^entry 1: sandbox_id is missing/],
    ['json', JSON.stringify([{ ...ROW, name: 5 }]), /^entry 1: name must be/],
    ['json', JSON.stringify([{ ...ROW, sfdc_account_id: 'a\u0007' }]), /^entry 1: sfdc_account_id must be/],
    ['json', JSON.stringify(Array.from({ length: 100_001 }, () => 0)), /100000 at most/],
  ])('%s: %.40s', (format, text, problem) => {
    const { items, problems } = readRows(text, format);
    expect(items).toEqual([]);
    expect(problems[0]).toMatch(problem);
  });
});
