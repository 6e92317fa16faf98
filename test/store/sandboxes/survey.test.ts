import { expect, it } from 'vitest';
import { surveyOf } from '../../../src/domain/inventory.ts';
import { noteMissing } from '../../../src/domain/quarantine.ts';
import { purge, seeGone, seeOff } from '../../../src/domain/transitions.ts';
import { toSandboxItem } from '../../../src/store/sandboxes/items.ts';
import { SURVEYED, toSurveyed } from '../../../src/store/sandboxes/survey.ts';
import { MADE_AT_MS, RECORDS } from '../../support/broker/records.ts';

const { pending_deletion: pending, deletion_failed: failed, quarantined, stale } = RECORDS;
const leaving = seeOff(pending, 'already_gone', MADE_AT_MS + 1);
const ALL = [
  ...Object.values(RECORDS),
  leaving,
  seeGone(leaving, MADE_AT_MS + 2),
  purge(failed, MADE_AT_MS + 3),
  purge(stale, MADE_AT_MS + 4),
  noteMissing(quarantined, MADE_AT_MS + 5),
];

it.each(ALL.map((record) => [record.status, record] as const))(
  'a part of the item of one that is %s says the same as the whole record',
  (_, record) => {
    const item = toSandboxItem(record, 16, 'write');
    const fields = Object.values(SURVEYED.ExpressionAttributeNames);
    const part = Object.fromEntries(fields.flatMap((field) => (field in item ? [[field, item[field]]] : [])));
    expect(toSurveyed(part)).toEqual(surveyOf(record));
    expect(Object.keys(part).length).toBeLessThan(Object.keys(item).length);
  },
);
