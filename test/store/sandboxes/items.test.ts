import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ZodError } from 'zod';
import type { Lease } from '../../../src/domain/lease.ts';
import {
  type AvailableSandbox,
  type Cleanup,
  type DeletedSandbox,
  type Quarantine,
  SANDBOX_STATUSES,
  type Sandbox,
} from '../../../src/domain/sandbox.ts';
import { toSandbox, toSandboxItem } from '../../../src/store/sandboxes/items.ts';
import { sandboxKey } from '../../../src/store/sandboxes/keys.ts';
import { startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const AT_MS = Date.UTC(2030, 0, 1, 9);
const AT = AT_MS / 1000;

const LEASE: Lease = {
  leaseId: 'lease-1',
  holder: 'holder-1',
  lab: 'lab-1',
  allocatedAt: AT,
  expiresAt: AT + 14_400,
  reclaimAt: AT + 16_200,
  idempotencyPk: 'I#1',
};

const CLAIMED: Cleanup = {
  requestedAt: AT,
  attempts: 2,
  retries: 1,
  dueMs: AT_MS + 60_000,
  claimId: 'claim-1',
  lastError: 'server_error',
};

const PARKED: Cleanup = { requestedAt: AT, attempts: 3, retries: 3, lastError: 'rejected' };

const LEAVING: Cleanup = {
  requestedAt: AT,
  attempts: 1,
  retries: 0,
  dueMs: AT_MS + 30_000,
  farewell: { sinceMs: AT_MS, reason: 'destroyed' },
};

const base = (id: string): Omit<AvailableSandbox, 'status'> => ({
  id,
  name: `Ünïcode 🧪 ${id}`,
  externalId: `accounts/${id}`,
  metadata: { sfdc_account_id: 'SF-1', empty: '', 'odd key #': '部屋' },
  generation: 1_893_456_000,
  createdAtMs: AT_MS - 1,
  updatedAtMs: AT_MS,
});

const QUARANTINE: Quarantine = { reason: 'disk errors', sinceMs: AT_MS };

const { lab: _lab, ...LEASE_WITHOUT_LAB } = LEASE;

/** Every shape that a record can have. */
const SANDBOXES: Sandbox[] = [
  { ...base('available'), status: 'available' },
  { ...base('available-bare'), status: 'available', metadata: {} },
  { ...base('available-given-back'), status: 'available', released: { holder: 'h', requestedAt: AT } },
  { ...base('allocated'), status: 'allocated', lease: LEASE },
  { ...base('allocated-no-lab'), status: 'allocated', lease: LEASE_WITHOUT_LAB },
  {
    ...base('pending'),
    status: 'pending_deletion',
    lease: LEASE,
    cleanup: { requestedAt: AT, attempts: 0, retries: 0, dueMs: 0 },
  },
  { ...base('pending-claimed'), status: 'pending_deletion', lease: LEASE, cleanup: CLAIMED },
  { ...base('pending-leaving'), status: 'pending_deletion', lease: LEASE, cleanup: LEAVING },
  { ...base('failed'), status: 'deletion_failed', lease: LEASE, cleanup: CLAIMED },
  { ...base('failed-parked'), status: 'deletion_failed', lease: LEASE, cleanup: PARKED },
  { ...base('stale'), status: 'stale', staleSinceMs: AT_MS },
  { ...base('stale-warm'), status: 'stale', staleSinceMs: AT_MS, coolUntilMs: AT_MS + 5_000 },
  { ...base('cooling'), status: 'cooling', coolUntilMs: AT_MS + 5_000 },
  {
    ...base('cooling-given-back'),
    status: 'cooling',
    coolUntilMs: AT_MS + 5_000,
    released: { holder: 'h', requestedAt: AT },
  },
  { ...base('quarantined-warm'), status: 'quarantined', quarantine: QUARANTINE, coolUntilMs: AT_MS },
  { ...base('allocated-last'), status: 'allocated', lease: LEASE, quarantine: QUARANTINE },
  { ...base('quarantined'), status: 'quarantined', quarantine: QUARANTINE },
  { ...base('quarantined-missing'), status: 'quarantined', quarantine: QUARANTINE, missingSinceMs: AT_MS },
  {
    ...base('quarantined-used'),
    status: 'quarantined',
    quarantine: QUARANTINE,
    lease: LEASE,
    cleanup: { requestedAt: AT, attempts: 0, retries: 0 },
  },
  { ...base('deleted-purged'), status: 'deleted', deletedAtMs: AT_MS, reason: 'purged' },
  ...(['destroyed', 'already_gone'] as const).map(
    (reason): DeletedSandbox => ({
      ...base(`deleted-${reason}`),
      status: 'deleted',
      deletedAtMs: AT_MS,
      reason,
      lease: LEASE,
      cleanup: { requestedAt: AT, attempts: 1, retries: 0 },
      seenGoneMs: AT_MS,
    }),
  ),
  {
    ...base('deleted-listed'),
    status: 'deleted',
    deletedAtMs: AT_MS,
    reason: 'destroyed',
    lease: LEASE,
    cleanup: { requestedAt: AT, attempts: 1, retries: 0 },
  },
];

const itemOf = (id: string) => {
  const sandbox = SANDBOXES.find((each) => each.id === id);
  if (!sandbox) throw new Error(`no ${id}`);
  return toSandboxItem(sandbox, 16, 'write-1');
};

describeOnEngines('a sandbox that was written and read again', ({ endpoint }) => {
  let core: TestCore;
  beforeAll(async () => {
    core = await startCore(endpoint);
  });
  afterAll(() => core.close());

  test.for(SANDBOXES)('is the same: $id', async (sandbox) => {
    expect(await core.store.write({ seen: undefined, next: sandbox })).toBe(true);
    expect(await core.store.get(sandbox.id)).toEqual(sandbox);
  });
});

describe('the item of a sandbox', () => {
  test('is tried for every status', () => {
    expect(new Set(SANDBOXES.map((sandbox) => sandbox.status))).toEqual(new Set(SANDBOX_STATUSES));
  });

  test.for(SANDBOXES)('leads to the same sandbox: $id', (sandbox) => {
    const item = toSandboxItem(sandbox, 16, 'write-1');
    expect(toSandbox(item)).toEqual(sandbox);
    expect(item).toMatchObject(sandboxKey(sandbox.id, 16));
    const isInUse = ['allocated', 'pending_deletion'].includes(sandbox.status);
    expect(item.status_key).toBe(isInUse ? undefined : `default#${sandbox.status}#${sandbox.name}`);
  });

  test('has an entry in an index always', () => {
    const pending = SANDBOXES.find((each) => each.status === 'pending_deletion');
    if (pending?.status !== 'pending_deletion') throw new Error('there is none');
    const { dueMs: _, ...cleanup } = pending.cleanup;
    const item = toSandboxItem({ ...pending, cleanup }, 16, 'w');
    expect(item).toMatchObject({ status_key: `default#pending_deletion#${pending.name}` });
    expect(item).not.toHaveProperty('due_key');
  });

  test('has a due time while the broker has to come back to it, and never else', () => {
    const due = (id: string) => itemOf(id).due_key;
    expect(due('allocated')).toBe(`${LEASE.reclaimAt * 1000}#allocated`);
    expect(due('pending')).toBe('0000000000000#pending');
    expect(due('pending-claimed')).toBe(`${AT_MS + 60_000}#pending-claimed`);
    expect(due('cooling')).toBe(`${AT_MS + 5_000}#cooling`);
    expect(due('failed')).toBe(`${AT_MS + 60_000}#failed`);
    const without = SANDBOXES.filter((sandbox) => !('due_key' in toSandboxItem(sandbox, 16, 'w')));
    expect(without.map((sandbox) => sandbox.id)).toEqual([
      'available',
      'available-bare',
      'available-given-back',
      'failed-parked',
      'stale',
      'stale-warm',
      'quarantined-warm',
      'quarantined',
      'quarantined-missing',
      'quarantined-used',
      'deleted-purged',
      'deleted-destroyed',
      'deleted-already_gone',
      'deleted-listed',
    ]);
  });

  test('lapses when it is a tombstone of what has been gone for seven days, and never else', () => {
    for (const sandbox of SANDBOXES) {
      const ttl = toSandboxItem(sandbox, 16, 'w').ttl;
      const isGone = sandbox.status === 'deleted' && sandbox.id !== 'deleted-listed';
      expect(ttl, sandbox.id).toBe(isGone ? AT + 7 * 86_400 : undefined);
    }
  });

  test('stays under 1 KB with names of ordinary length', () => {
    for (const sandbox of SANDBOXES) {
      expect(JSON.stringify(toSandboxItem(sandbox, 16, crypto.randomUUID())).length).toBeLessThan(1_024);
    }
  });
});

describe('an item that was bent by hand', () => {
  test.for([
    ['no status', 'available', { status: undefined }],
    ['a status that does not exist', 'available', { status: 'free' }],
    ['no name', 'available', { name: undefined }],
    ['a generation that is text', 'available', { generation: '7' }],
    ['a generation that is no whole number', 'available', { generation: 7.5 }],
    ['metadata that are no texts', 'available', { metadata: { a: 1 } }],
    ['no lease though leased', 'allocated', { lease_id: undefined }],
    ['no holder though leased', 'allocated', { allocated_to_track: undefined }],
    ['an end of the lease that is no time', 'allocated', { expires_at: Number.NaN }],
    ['no request though pending', 'pending', { deletion_requested_at: undefined }],
    ['a stale mark without a time', 'stale', { stale_since_ms: undefined }],
    ['a quarantine without a reason', 'quarantined', { quarantine_reason: undefined }],
    ['a quarantine with half a lease', 'quarantined-used', { expires_at: undefined }],
    ['a tombstone without a reason', 'deleted-purged', { deletion_reason: undefined }],
    ['a tombstone with half a lease', 'deleted-destroyed', { lease_id: 'x', expires_at: undefined }],
    ['a tombstone with half a cleanup', 'deleted-destroyed', { deletion_attempts: undefined }],
    ['a due time that is none', 'pending', { due_key: 'soon' }],
  ] as const)('is an error that names the field: %s', ([, id, bent]) => {
    const [field] = Object.keys(bent).slice(-1);
    const read = () => toSandbox({ ...itemOf(id), ...bent });
    expect(read).toThrow(ZodError);
    expect(read).toThrow(new RegExp(`"${field}"`));
  });

  test('is an error when it is no record at all', () => {
    expect(() => toSandbox({})).toThrow(ZodError);
  });
});
