import { z } from 'zod';
import type { GrantedLease } from '../usecases/leases/allocate-sandbox.ts';
import type { MarkResult } from '../usecases/leases/mark-for-deletion.ts';
import { sandboxStatus } from './sandboxes.ts';
import { epochSeconds } from './times.ts';

export const leaseSchema = z
  .object({
    sandbox_id: z.string(),
    name: z.string(),
    external_id: z.string(),
    lease_id: z.string().describe('Differs for every lease, also of one sandbox to one holder.'),
    fencing_token: z
      .int()
      .optional()
      .describe(
        'Higher with every lease of a sandbox: whatever stands before it can refuse an earlier holder. Only a lease ' +
          'from before an upgrade has none.',
      ),
    allocated_at: epochSeconds('Start of the lease'),
    expires_at: epochSeconds('End of the lease'),
    heartbeat_seconds: z.int().optional().describe('How often the holder is to give a sign of life.'),
    heartbeat_by: epochSeconds(
      'Only of a lease with a heartbeat: when the next one is to come by',
    ).optional(),
    sfdc_account_id: z.string().optional(),
    lease_over: z
      .literal(true)
      .optional()
      .describe('Only for an Idempotency-Key whose lease is over: the sandbox is not yours any more.'),
  })
  .meta({
    id: 'Lease',
    description: 'What a holder gets.',
    examples: [
      {
        sandbox_id: '00u1x2y3-lab-0042',
        name: 'lab-0042',
        external_id: 'sandbox/accounts/5b1c7e0a-3f7e-4f0b-8a4e-2f6c1f1f9d11',
        lease_id: '8c0f1c4e-2b1a-4c5d-9e57-5a1f1d0b7c3e',
        fencing_token: 1_767_139_207,
        allocated_at: 1_767_225_600,
        expires_at: 1_767_240_000,
      },
    ],
  });

export const leasesSchema = z.object({ count: z.int(), leases: z.array(leaseSchema) }).meta({
  id: 'Leases',
  description: 'What a holder gets who asked for several: `count` leases of one key.',
});

export const markSchema = z
  .object({
    sandbox_id: z.string(),
    status: sandboxStatus,
    deletion_requested_at: epochSeconds('The first mark'),
  })
  .meta({ id: 'Marked', description: 'A sandbox that was given back.' });

export const marksSchema = z
  .object({ count: z.int(), marked: z.array(markSchema) })
  .meta({ id: 'MarkedAll', description: 'All sandboxes of a key, given back.' });

export const markRecord = (result: MarkResult): z.output<typeof markSchema> => ({
  sandbox_id: result.sandboxId,
  status: result.status,
  deletion_requested_at: result.deletionRequestedAt,
});

/** A lease as its holder is shown it. */
export const leaseRecord = (lease: GrantedLease, leaseOver?: true): z.output<typeof leaseSchema> => ({
  sandbox_id: lease.sandboxId,
  name: lease.name,
  external_id: lease.externalId,
  lease_id: lease.leaseId,
  fencing_token: lease.fencingToken,
  allocated_at: lease.allocatedAt,
  expires_at: lease.expiresAt,
  heartbeat_seconds: lease.heartbeat?.seconds,
  heartbeat_by: leaseOver ? undefined : lease.heartbeat?.by,
  sfdc_account_id: lease.sfdcAccountId,
  lease_over: leaseOver,
});
