import { expect, test } from 'vitest';
import type { z } from 'zod';
import { leaseSchema, markSchema } from '../../src/api/leases.ts';
import type { inLineSchema, reportedSchema } from '../../src/api/line.ts';
import { recordSchema } from '../../src/api/sandboxes.ts';
import type { InLine, Lease, Marked, Reported, SandboxRecord } from '../../src/client/index.ts';

/** True for types that are the same, down to what is optional. */
type Same<One, Other> = [One, Other] extends [Other, One]
  ? [keyof One, keyof Other] extends [keyof Other, keyof One]
    ? { [Key in keyof One]-?: undefined extends One[Key] ? 0 : 1 } extends {
        [Key in keyof Other]-?: undefined extends Other[Key] ? 0 : 1;
      }
      ? true
      : never
    : never
  : never;

// The compiler refuses this file as soon as one of the client's types is not what the server answers with.
const LEASE: Same<Lease, z.output<typeof leaseSchema>> = true;
const IN_LINE: Same<InLine, z.output<typeof inLineSchema>> = true;
const MARKED: Same<Marked, z.output<typeof markSchema>> = true;
const REPORTED: Same<Reported, z.output<typeof reportedSchema>> = true;
const RECORD: Same<SandboxRecord, z.output<typeof recordSchema>> = true;

/** The fields a client knows, by type: a type itself cannot be asked. */
const FIELDS = {
  lease: {
    sandbox_id: 1,
    name: 1,
    external_id: 1,
    lease_id: 1,
    fencing_token: 1,
    allocated_at: 1,
    expires_at: 1,
    heartbeat_seconds: 1,
    heartbeat_by: 1,
    sfdc_account_id: 1,
    lease_over: 1,
  },
  marked: { sandbox_id: 1, status: 1, deletion_requested_at: 1 },
} satisfies { lease: Record<keyof Lease, 1>; marked: Record<keyof Marked, 1> };

test('the client’s types are the server’s schemas', () => {
  expect([LEASE, IN_LINE, MARKED, REPORTED, RECORD]).toEqual(Array(5).fill(true));
  expect(Object.keys(leaseSchema.shape).sort()).toEqual(Object.keys(FIELDS.lease).sort());
  expect(Object.keys(markSchema.shape).sort()).toEqual(Object.keys(FIELDS.marked).sort());
  expect(Object.keys(recordSchema.shape)).toContain('allocated_to_track');
});
