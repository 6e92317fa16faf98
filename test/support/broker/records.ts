import { recycle } from '../../../src/domain/cooldown.ts';
import type { Lease } from '../../../src/domain/lease.ts';
import { quarantine } from '../../../src/domain/quarantine.ts';
import type { CoolingSandbox, Sandbox, SandboxStatus } from '../../../src/domain/sandbox.ts';
import {
  allocate,
  bury,
  create,
  failDeletion,
  markStale,
  requestDeletion,
} from '../../../src/domain/transitions.ts';

/** When the records below were made, epoch milliseconds. */
export const MADE_AT_MS = Date.UTC(2030, 0, 1, 9);

/** A lease of four hours and a half-hour buffer, from {@link MADE_AT_MS} on. */
export const LEASE: Lease = {
  leaseId: 'lease-1',
  holder: 'holder-1',
  lab: 'lab-1',
  allocatedAt: MADE_AT_MS / 1000,
  expiresAt: MADE_AT_MS / 1000 + 4 * 3_600,
  reclaimAt: MADE_AT_MS / 1000 + 4.5 * 3_600,
  idempotencyPk: 'I#1',
  fencingToken: MADE_AT_MS / 1000 + 1,
};

const free = create(
  'sbx-1',
  { name: 'lab-0001', externalId: 'ext/1', metadata: { state: 'active' } },
  MADE_AT_MS,
);
const leased = allocate(free, LEASE, MADE_AT_MS);
const pending = requestDeletion(leased, MADE_AT_MS);

/** One record of each status, reached by the transitions themselves; all the same sandbox, all at one moment. */
export const RECORDS = {
  available: free,
  allocated: leased,
  pending_deletion: pending,
  deletion_failed: failDeletion(
    pending,
    'server_error',
    { dueMs: MADE_AT_MS + 60_000, counts: true },
    MADE_AT_MS,
  ),
  stale: markStale(free, MADE_AT_MS),
  cooling: recycle(pending, MADE_AT_MS, 60_000) as CoolingSandbox,
  quarantined: quarantine(free, { reason: 'disk errors', sinceMs: MADE_AT_MS }, MADE_AT_MS),
  deleted: bury(pending, 'destroyed', MADE_AT_MS),
} as const satisfies { [Status in SandboxStatus]: Extract<Sandbox, { status: Status }> };
