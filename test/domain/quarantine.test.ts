import { describe, expect, it } from 'vitest';
import { claim } from '../../src/domain/cleanup.ts';
import {
  callOffQuarantine,
  endLease,
  isBeingDeleted,
  noteMissing,
  passOn,
  type Quarantinable,
  quarantine,
  quarantineAfterLease,
  restoreToPool,
} from '../../src/domain/quarantine.ts';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { seeOff } from '../../src/domain/transitions.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';

const LATER_MS = MADE_AT_MS + 90_500;
const WHY = { reason: 'disk errors', sinceMs: LATER_MS };
const { available, allocated, pending_deletion: pending, deletion_failed: failed, stale } = RECORDS;
const uncollected = { ...allocated, lease: { ...LEASE, collectBy: MADE_AT_MS / 1000 + 60 } };
const last = quarantineAfterLease(allocated, WHY, LATER_MS);
const put = (seen: Quarantinable) => quarantine(seen, WHY, LATER_MS);

const CHANGES: [string, Sandbox, Sandbox, Record<string, unknown>][] = [
  ['a free one', available, put(available), { status: 'quarantined', quarantine: WHY }],
  [
    'a stale one: it is missing as long as it was',
    stale,
    put(stale),
    { status: 'quarantined', quarantine: WHY, missingSinceMs: MADE_AT_MS },
  ],
  [
    'a leased one: its lease is over, and it was used',
    allocated,
    put(allocated),
    {
      status: 'quarantined',
      quarantine: WHY,
      lease: LEASE,
      cleanup: { requestedAt: Math.floor(LATER_MS / 1000), untried: true, attempts: 0, retries: 0 },
    },
  ],
  [
    'one whose lease nobody was told of: it was not used',
    uncollected,
    put(uncollected),
    { status: 'quarantined', quarantine: WHY },
  ],
  [
    'one to be deleted: nothing is due any more',
    failed,
    put(failed),
    {
      status: 'quarantined',
      quarantine: WHY,
      lease: LEASE,
      cleanup: { requestedAt: MADE_AT_MS / 1000, attempts: 0, retries: 1, lastError: 'server_error' },
    },
  ],
  ['after the lease, which goes on', allocated, last, { status: 'allocated', lease: LEASE, quarantine: WHY }],
  ['called off', last, callOffQuarantine(last, LATER_MS), { status: 'allocated', lease: LEASE }],
  [
    'at the end of the lease',
    last,
    endLease(last, LATER_MS),
    {
      status: 'quarantined',
      quarantine: WHY,
      lease: LEASE,
      cleanup: { requestedAt: Math.floor(LATER_MS / 1000), untried: true, attempts: 0, retries: 0 },
    },
  ],
  [
    'at the end of a lease that nobody collected',
    uncollected,
    passOn({ ...uncollected, quarantine: WHY }, LATER_MS),
    { status: 'quarantined', quarantine: WHY },
  ],
  [
    'missing',
    put(available),
    noteMissing(put(available), LATER_MS),
    { status: 'quarantined', quarantine: WHY, missingSinceMs: LATER_MS },
  ],
  [
    'restored: an unused one is free',
    put(available),
    restoreToPool(put(available), LATER_MS),
    { status: 'available' },
  ],
  [
    'restored: one that is missing is stale',
    put(stale),
    restoreToPool(put(stale), LATER_MS),
    { status: 'stale', staleSinceMs: MADE_AT_MS },
  ],
  [
    'restored: a used one is cleaned first, as asked for at the end of its lease',
    put(pending),
    restoreToPool(put(pending), LATER_MS),
    {
      status: 'pending_deletion',
      lease: LEASE,
      cleanup: { requestedAt: MADE_AT_MS / 1000, untried: true, attempts: 0, retries: 0, dueMs: LATER_MS },
    },
  ],
];

describe('a quarantine', () => {
  it.each(CHANGES)('%s', (_, seen, next, fields) => {
    const { id, name, externalId, metadata, createdAtMs } = available;
    expect(next).toEqual({
      id,
      name,
      externalId,
      metadata,
      createdAtMs,
      generation: seen.generation + 1,
      updatedAtMs: LATER_MS,
      ...fields,
    });
  });

  it('waits with the cleanup of a restored one until its last delete is surely over', () => {
    const hanging = { ...failed, cleanup: { ...failed.cleanup, mayRunUntilMs: LATER_MS + 5_000 } };
    expect(restoreToPool(put(hanging), LATER_MS)).toMatchObject({ cleanup: { dueMs: LATER_MS + 5_000 } });
  });

  it('is too late for what is being deleted', () => {
    const claimed = claim(pending, 'claim-1', LATER_MS, MADE_AT_MS);
    const leaving = seeOff(pending, 'destroyed', MADE_AT_MS);
    const hanging = { ...failed, cleanup: { ...failed.cleanup, mayRunUntilMs: LATER_MS } };
    expect([claimed, leaving, hanging].map((seen) => isBeingDeleted(seen, LATER_MS - 1))).toEqual([
      true,
      true,
      true,
    ]);
    expect([claimed, leaving, hanging].map((seen) => isBeingDeleted(seen, LATER_MS))).toEqual([
      false,
      true,
      false,
    ]);
    expect([pending, failed].some((seen) => isBeingDeleted(seen, MADE_AT_MS))).toBe(false);
  });
});
