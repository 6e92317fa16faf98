import { describe, expect, test } from 'vitest';
import { type OldRecord, translate, UNKNOWN_HOLDER } from '../../src/domain/old-record.ts';
import type { Sandbox } from '../../src/domain/sandbox.ts';

const NOW_MS = Date.UTC(2030, 0, 1, 9);
const NOW = NOW_MS / 1000;
const HOUR = 3_600;
const BASE: OldRecord = {
  sandboxId: 'sbx-1',
  name: 'Lab 1',
  externalId: 'ext/1',
  status: 'available',
  metadata: { sfdc_account_id: 'sfdc-1' },
};

const translated = (old: Partial<OldRecord>) =>
  translate(
    { ...BASE, ...old },
    {
      nowMs: NOW_MS,
      terms: { leaseSeconds: 4 * HOUR, bufferSeconds: HOUR / 2 },
      leaseId: 'lease-1',
      keyPkOf: (holder) => `key of ${holder}`,
    },
  );
function sandboxOf(old: Partial<OldRecord>): Sandbox {
  const result = translated(old);
  if ('problem' in result) throw new Error(result.problem);
  return result.sandbox;
}

describe('an old record', () => {
  test('keeps its id, name, external id and attributes in every status', () => {
    for (const status of ['available', 'stale', 'pending_deletion', 'deletion_failed']) {
      expect(sandboxOf({ status })).toMatchObject({
        id: 'sbx-1',
        name: 'Lab 1',
        externalId: 'ext/1',
        metadata: { sfdc_account_id: 'sfdc-1' },
        status,
      });
    }
  });

  test('that is allocated keeps its holder, lab and end, and gets the grace and the key of its holder', () => {
    const old = { status: 'allocated', holder: 'vm-7', lab: 'dns', allocatedAt: NOW - HOUR };
    expect(sandboxOf({ ...old, expiresAt: NOW + HOUR })).toMatchObject({
      lease: {
        leaseId: 'lease-1',
        holder: 'vm-7',
        lab: 'dns',
        allocatedAt: NOW - HOUR,
        expiresAt: NOW + HOUR,
        reclaimAt: NOW + 1.5 * HOUR,
        idempotencyPk: 'key of vm-7',
      },
    });
    expect(sandboxOf(old)).toMatchObject({
      lease: { expiresAt: NOW + 3 * HOUR, reclaimAt: NOW + 3.5 * HOUR },
    });
  });

  test('that was given back is due at once, whoever gave it back', () => {
    expect(
      sandboxOf({ status: 'pending_deletion', holder: 'vm-7', deletionRequestedAt: NOW - 60 }),
    ).toMatchObject({
      lease: { holder: 'vm-7' },
      cleanup: { requestedAt: NOW - 60, attempts: 0, retries: 0, dueMs: NOW_MS },
    });
    expect(sandboxOf({ status: 'pending_deletion' })).toMatchObject({
      lease: { holder: UNKNOWN_HOLDER },
      cleanup: { requestedAt: NOW, dueMs: NOW_MS },
    });
  });

  test('whose deletion failed is due at once, and keeps its count of retries', () => {
    expect(sandboxOf({ status: 'deletion_failed', deletionRetries: 2 })).toMatchObject({
      cleanup: { retries: 2, dueMs: NOW_MS },
    });
    expect(sandboxOf({ status: 'deletion_failed' })).toMatchObject({ cleanup: { retries: 0 } });
  });

  test('that is stale begins its grace anew', () => {
    expect(sandboxOf({ status: 'stale' })).toMatchObject({ staleSinceMs: NOW_MS });
  });

  test.each<[Partial<OldRecord>, string]>([
    [{ status: 'allocated', allocatedAt: NOW }, 'is allocated to nobody'],
    [{ status: 'allocated', holder: 'vm-7' }, 'was allocated, and does not say when'],
    [{ status: 'deleted' }, 'has the status "deleted", which this broker does not know'],
    [{ status: 'AVAILABLE' }, 'has the status "AVAILABLE", which this broker does not know'],
  ])('%j is never guessed at', (old, problem) => {
    expect(translated(old)).toEqual({ problem });
  });
});
