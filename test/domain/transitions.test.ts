import { describe, expect, it } from 'vitest';
import { claim, unclaim } from '../../src/domain/cleanup.ts';
import { endCooldown, recycle } from '../../src/domain/cooldown.ts';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import {
  allocate,
  bury,
  create,
  deleteAgain,
  describe as describeAs,
  failDeletion,
  lookLater,
  markStale,
  purge,
  requestDeletion,
  restore,
  retryDeletion,
  revive,
  seeGone,
  seeOff,
} from '../../src/domain/transitions.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';

const LATER_MS = MADE_AT_MS + 90_500;
const LISTED = { name: 'lab-new', externalId: 'ext/new', metadata: { sfdc_account_id: 'SF-1' } };
const { available, allocated, pending_deletion: pending, deletion_failed: failed, stale, deleted } = RECORDS;

const { cooling } = RECORDS;
const COOL_UNTIL_MS = cooling.coolUntilMs;
const REQUESTED_AT = MADE_AT_MS / 1000;
const REQUESTED = { requestedAt: REQUESTED_AT, attempts: 0, retries: 0 };
const purgedFailed = purge(failed, MADE_AT_MS);
const purgedStale = purge(stale, MADE_AT_MS);

const fresh = requestDeletion(allocated, MADE_AT_MS);
const leaving = seeOff(claim(pending, 'claim-1', LATER_MS, MADE_AT_MS), 'destroyed', MADE_AT_MS);
const NOTHING_TRIED = { untried: true, attempts: 0, retries: 0 };
const ASKED_LATER = { ...NOTHING_TRIED, requestedAt: Math.floor(LATER_MS / 1000), dueMs: LATER_MS };
const LONG_AGO = { sinceMs: LATER_MS - 7_200_000, reason: 'destroyed' } as const;

/** What a transition adds to the sandbox's identity; everything of an earlier status that is not named is gone. */
const CHANGES: [string, Sandbox, Sandbox, Record<string, unknown>][] = [
  ['allocate', available, allocate(available, LEASE, LATER_MS), { status: 'allocated', lease: LEASE }],
  [
    'request the deletion of a leased one: due at once, nothing tried yet',
    allocated,
    requestDeletion(allocated, LATER_MS),
    {
      status: 'pending_deletion',
      lease: LEASE,
      cleanup: ASKED_LATER,
    },
  ],
  [
    'claim: one attempt more, due when the claim is over',
    pending,
    claim(pending, 'claim-1', LATER_MS + 1, LATER_MS),
    {
      status: 'pending_deletion',
      lease: LEASE,
      cleanup: {
        requestedAt: REQUESTED_AT,
        attempts: 1,
        retries: 0,
        dueMs: LATER_MS + 1,
        claimId: 'claim-1',
      },
    },
  ],
  [
    'give a claim back: as if it had not been taken, but due later',
    failed,
    unclaim(
      claim(failed, 'claim-1', LATER_MS, LATER_MS),
      { dueMs: LATER_MS + 2, untried: undefined },
      LATER_MS,
    ),
    {
      status: 'deletion_failed',
      lease: LEASE,
      cleanup: {
        requestedAt: REQUESTED_AT,
        attempts: 0,
        retries: 1,
        dueMs: LATER_MS + 2,
        lastError: 'server_error',
      },
    },
  ],
  [
    'give a claim back that was the first: nobody has set out, as before',
    fresh,
    unclaim(claim(fresh, 'claim-1', LATER_MS, LATER_MS), { dueMs: LATER_MS + 2, untried: true }, LATER_MS),
    { status: 'pending_deletion', lease: LEASE, cleanup: { ...fresh.cleanup, dueMs: LATER_MS + 2 } },
  ],
  [
    'recycle: free again, and its last holder is still told that it is done',
    pending,
    recycle(pending, LATER_MS),
    { status: 'available', released: { holder: LEASE.holder, requestedAt: REQUESTED_AT } },
  ],
  [
    'recycle one that has to cool down first',
    pending,
    recycle(pending, LATER_MS, 60_000),
    {
      status: 'cooling',
      coolUntilMs: LATER_MS + 60_000,
      released: { holder: LEASE.holder, requestedAt: REQUESTED_AT },
    },
  ],
  [
    'end a cooldown: free, and its last holder is still told that it is done',
    cooling,
    endCooldown(cooling, LATER_MS),
    { status: 'available', released: { holder: LEASE.holder, requestedAt: REQUESTED_AT } },
  ],
  [
    'mark one stale that cools down',
    cooling,
    markStale(cooling, LATER_MS),
    { status: 'stale', staleSinceMs: LATER_MS, coolUntilMs: COOL_UNTIL_MS },
  ],
  [
    'restore one that has not cooled down',
    markStale(cooling, MADE_AT_MS),
    restore(markStale(cooling, MADE_AT_MS), LISTED, COOL_UNTIL_MS - 1),
    { status: 'cooling', ...LISTED, coolUntilMs: COOL_UNTIL_MS, updatedAtMs: COOL_UNTIL_MS - 1 },
  ],
  [
    'restore one that has cooled down meanwhile',
    markStale(cooling, MADE_AT_MS),
    restore(markStale(cooling, MADE_AT_MS), LISTED, LATER_MS),
    { status: 'available', ...LISTED },
  ],
  [
    'bury: nothing is due any more, the last lease stays',
    claim(failed, 'claim-1', LATER_MS, MADE_AT_MS),
    bury(claim(failed, 'claim-1', LATER_MS, MADE_AT_MS), 'already_gone', LATER_MS),
    {
      status: 'deleted',
      deletedAtMs: LATER_MS,
      reason: 'already_gone',
      lease: LEASE,
      cleanup: { requestedAt: REQUESTED_AT, attempts: 1, retries: 1, lastError: 'server_error' },
    },
  ],
  [
    'fail a deletion: one retry more, due later, the claim is over',
    claim(pending, 'claim-1', LATER_MS, MADE_AT_MS),
    failDeletion(
      claim(pending, 'claim-1', LATER_MS, MADE_AT_MS),
      'timeout',
      { dueMs: LATER_MS + 3, counts: true },
      LATER_MS,
    ),
    {
      status: 'deletion_failed',
      lease: LEASE,
      cleanup: {
        requestedAt: REQUESTED_AT,
        attempts: 1,
        retries: 1,
        dueMs: LATER_MS + 3,
        lastError: 'timeout',
      },
    },
  ],
  [
    'park: no due',
    failed,
    failDeletion(failed, 'timeout', { dueMs: undefined, counts: true }, LATER_MS),
    {
      status: 'deletion_failed',
      lease: LEASE,
      cleanup: { requestedAt: REQUESTED_AT, attempts: 0, retries: 2, lastError: 'timeout' },
    },
  ],
  [
    'retry a deletion: a fresh set of attempts, requested when it was first',
    failed,
    retryDeletion(failed, LATER_MS),
    {
      status: 'pending_deletion',
      lease: LEASE,
      cleanup: { ...REQUESTED, dueMs: LATER_MS, lastError: 'server_error' },
    },
  ],
  [
    'see off one whose delete was accepted: pending, and a look is due',
    pending,
    seeOff(claim(pending, 'claim-1', LATER_MS, MADE_AT_MS), 'destroyed', LATER_MS),
    {
      status: 'pending_deletion',
      lease: LEASE,
      cleanup: {
        requestedAt: REQUESTED_AT,
        attempts: 1,
        retries: 0,
        dueMs: LATER_MS + 30_000,
        farewell: { sinceMs: LATER_MS, reason: 'destroyed' },
      },
    },
  ],
  [
    'look later for one that leaves: after as long again, ten minutes at the most',
    leaving,
    lookLater({ ...leaving, cleanup: { ...leaving.cleanup, farewell: LONG_AGO } }, LATER_MS),
    {
      status: 'pending_deletion',
      lease: LEASE,
      cleanup: { ...leaving.cleanup, farewell: LONG_AGO, dueMs: LATER_MS + 600_000 },
    },
  ],
  [
    'see one gone that was leaving',
    leaving,
    seeGone(leaving, LATER_MS),
    {
      status: 'deleted',
      deletedAtMs: LATER_MS,
      seenGoneMs: LATER_MS,
      reason: 'destroyed',
      lease: LEASE,
      cleanup: { requestedAt: REQUESTED_AT, attempts: 1, retries: 0 },
    },
  ],
  [
    'delete again what does not go: asked for anew, its attempts counted on',
    leaving,
    deleteAgain(leaving, LISTED, LATER_MS),
    {
      status: 'pending_deletion',
      ...LISTED,
      lease: LEASE,
      cleanup: { ...ASKED_LATER, attempts: 1 },
    },
  ],
  ['mark stale', available, markStale(available, LATER_MS), { status: 'stale', staleSinceMs: LATER_MS }],
  ['restore', stale, restore(stale, LISTED, LATER_MS), { status: 'available', ...LISTED }],
  [
    'purge a stale one: it was clean',
    stale,
    purge(stale, LATER_MS),
    { status: 'deleted', deletedAtMs: LATER_MS, reason: 'purged' },
  ],
  [
    'purge a failed one: the lease stays, because it was used',
    failed,
    purge(failed, LATER_MS),
    {
      status: 'deleted',
      deletedAtMs: LATER_MS,
      reason: 'purged',
      lease: LEASE,
      cleanup: { requestedAt: REQUESTED_AT, attempts: 0, retries: 1, lastError: 'server_error' },
    },
  ],
  [
    'revive one that was destroyed: a fresh sandbox, the lease forgotten',
    deleted,
    revive(deleted, LISTED, LATER_MS),
    { status: 'available', ...LISTED },
  ],
  [
    'revive one that was destroyed lately: it cools down first',
    deleted,
    revive(deleted, LISTED, LATER_MS, 120_000),
    { status: 'cooling', ...LISTED, coolUntilMs: MADE_AT_MS + 120_000 },
  ],
  [
    'revive one that was stale: it was not used, and need not cool down',
    purgedStale,
    revive(purgedStale, LISTED, LATER_MS, 120_000),
    { status: 'available', ...LISTED },
  ],
  [
    'revive one that the provider did not know for a while: it was used, and is to be deleted again',
    purgedFailed,
    revive({ ...purgedFailed, reason: 'already_gone' }, LISTED, LATER_MS),
    {
      status: 'pending_deletion',
      ...LISTED,
      lease: LEASE,
      cleanup: ASKED_LATER,
    },
  ],
  [
    'revive one that was stale',
    purgedStale,
    revive(purgedStale, LISTED, LATER_MS),
    { status: 'available', ...LISTED },
  ],
  [
    'revive one that was used and never deleted: not free, parked',
    purgedFailed,
    revive(purgedFailed, LISTED, LATER_MS),
    {
      status: 'deletion_failed',
      ...LISTED,
      lease: LEASE,
      cleanup: { requestedAt: REQUESTED_AT, attempts: 0, retries: 1, lastError: 'server_error' },
    },
  ],
];

describe('a transition', () => {
  it.each(CHANGES)('%s', (_, _seen, next, fields) => {
    const { id, name, externalId, metadata, createdAtMs } = available;
    expect(next).toEqual({
      id,
      name,
      externalId,
      metadata,
      createdAtMs,
      generation: next.generation,
      updatedAtMs: LATER_MS,
      ...fields,
    });
  });

  it.each(CHANGES)('bumps the generation and leaves the record it was given alone: %s', (_, seen, next) => {
    expect(next.generation).toBeGreaterThan(seen.generation);
    expect(seen.updatedAtMs).toBe(MADE_AT_MS);
  });

  it.each(Object.values(RECORDS))('a new description changes nothing else of a sandbox: $status', (seen) => {
    expect(describeAs(seen, LISTED, LATER_MS)).toEqual({
      ...seen,
      ...LISTED,
      generation: seen.generation + 1,
      updatedAtMs: LATER_MS,
    });
  });

  it('a description holds what a record has of it and no field more', () => {
    const item = { ...LISTED, sandboxId: 'sbx-1' };
    expect(describeAs(available, item, LATER_MS)).not.toHaveProperty('sandboxId');
  });
});

it('a record that is born again after its tombstone lapsed begins above every generation it had', () => {
  const changes = 1_000;
  const tombstoneSeconds = 7 * 86_400;
  const first = create('sbx-1', LISTED, MADE_AT_MS);
  const again = create('sbx-1', LISTED, MADE_AT_MS + tombstoneSeconds * 1000);
  expect(again.generation).toBeGreaterThan(first.generation + changes);
});
