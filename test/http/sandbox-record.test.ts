import { describe, expect, test } from 'vitest';
import { eventRecord, recordSchema, sandboxRecord } from '../../src/api/sandboxes.ts';
import type { Cleanup, Sandbox } from '../../src/domain/sandbox.ts';

const base = {
  id: 'sbx-1',
  name: 'lab-0001',
  externalId: 'ext/1',
  metadata: { sfdc_account_id: '001xx', secret_note: 'internal' },
  generation: 7,
  createdAtMs: 1_767_225_600_999,
  updatedAtMs: 1_767_225_700_001,
};
const lease = {
  leaseId: 'lease-1',
  holder: 'holder-1',
  lab: 'intro',
  allocatedAt: 1_767_225_600,
  expiresAt: 1_767_240_000,
  reclaimAt: 1_767_241_800,
  idempotencyPk: 'I#abc',
};
const cleanup: Cleanup = {
  requestedAt: 1_767_230_000,
  attempts: 3,
  retries: 2,
  dueMs: 1_767_230_500_500,
  claimId: 'claim-1',
  lastError: 'timeout',
};

const common = {
  sandbox_id: 'sbx-1',
  name: 'lab-0001',
  external_id: 'ext/1',
  sfdc_account_id: '001xx',
  created_at: 1_767_225_600,
  updated_at: 1_767_225_700,
};
const leased = {
  lease_id: 'lease-1',
  allocated_to_track: 'holder-1',
  track_name: 'intro',
  allocated_at: 1_767_225_600,
  expires_at: 1_767_240_000,
};
const cleaned = {
  deletion_requested_at: 1_767_230_000,
  deletion_retry_count: 2,
  deletion_error: 'timeout',
  deletion_due_at: 1_767_230_500,
};

describe("a sandbox's record has what makes sense in its status, in epoch seconds, and nothing else", () => {
  test.each<[Sandbox, object]>([
    [
      { ...base, status: 'available' },
      { ...common, status: 'available' },
    ],
    [
      { ...base, status: 'allocated', lease },
      { ...common, ...leased, status: 'allocated', reclaim_at: 1_767_241_800 },
    ],
    [
      { ...base, status: 'pending_deletion', lease, cleanup },
      { ...common, ...leased, ...cleaned, status: 'pending_deletion' },
    ],
    [
      { ...base, status: 'deletion_failed', lease, cleanup },
      { ...common, ...leased, ...cleaned, status: 'deletion_failed' },
    ],
    [
      { ...base, status: 'stale', staleSinceMs: 1_767_226_000_400 },
      { ...common, status: 'stale', stale_since: 1_767_226_000 },
    ],
    [
      { ...base, status: 'deleted', deletedAtMs: 1_767_231_000_000, reason: 'destroyed', lease, cleanup },
      {
        ...common,
        ...leased,
        deletion_requested_at: 1_767_230_000,
        deletion_retry_count: 2,
        deletion_error: 'timeout',
        status: 'deleted',
        deleted_at: 1_767_231_000,
        deletion_reason: 'destroyed',
      },
    ],
    [
      { ...base, status: 'deleted', deletedAtMs: 1_767_231_000_000, reason: 'purged' },
      { ...common, status: 'deleted', deleted_at: 1_767_231_000, deletion_reason: 'purged' },
    ],
  ])('$status', (sandbox, record) => {
    const asSent: unknown = JSON.parse(JSON.stringify(recordSchema.parse(sandboxRecord(sandbox))));
    expect(asSent).toEqual(record);
  });
});

test("an event's record names times and holders like the sandbox's does", () => {
  const record = eventRecord({
    sandboxId: 'sbx-1',
    generation: 8,
    actor: 'track',
    action: 'allocate',
    from: 'available',
    to: 'allocated',
    atMs: 1_767_225_600_999,
    requestId: 'r',
    correlationId: 'c',
    holder: 'holder-1',
    leaseId: 'lease-1',
  });
  expect(JSON.parse(JSON.stringify(record))).toEqual({
    generation: 8,
    actor: 'track',
    action: 'allocate',
    from: 'available',
    to: 'allocated',
    at: 1_767_225_600,
    request_id: 'r',
    correlation_id: 'c',
    allocated_to_track: 'holder-1',
    lease_id: 'lease-1',
  });
});
