import { z } from 'zod';
import { isLeaseOver } from '../../domain/lease.ts';
import type { Place } from '../../domain/line.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { idempotencyKey } from './keys.ts';

/** What an idempotency key remembers: enough to answer a replay without reading the sandbox. Times are epoch seconds. */
export interface KeyRecord {
  pk: string;
  sandboxId: string;
  name: string;
  externalId: string;
  sfdcAccountId?: string | undefined;
  leaseId: string;
  /** Only the key of a lease that an earlier version granted knows none. */
  fencingToken?: number | undefined;
  /** Of a lease whose holder said that it would give signs of life: whether it did stands with the sandbox. */
  heartbeatSeconds?: number | undefined;
  allocatedAt: number;
  /** The lease's end, for the answer. */
  leaseExpiresAt: number;
  /** From here on the lease is over: its end plus the buffer, or `GIVEN_BACK`. A default key is free again then. */
  expiresAt: number;
  /** Only of a key that the caller chose: until when it answers with this lease, also when that is over. */
  rememberedUntil?: number | undefined;
  /** Hash of the request that made it; another request under the same explicit key is refused. */
  requestHash: string;
  /** Unique to the call that made it: a caller whose answer was lost knows its own win by it. */
  attempt: string;
  /** The place in the line by which it got its lease. */
  ticket?: string | undefined;
  /** The place in the line at which it waits: there is no lease as yet, and what speaks of one is empty. */
  waits?: string | undefined;
  /** Of several leases under the key, whose `leaseId` stands for all of them: what else is said of one is the first's. */
  members?: readonly KeyMember[] | undefined;
  /** How many of them go on. */
  liveLeases?: number | undefined;
  /** Its caller has not been told of the lease: see {@link Lease.collectBy}. */
  collectBy?: number | undefined;
}

/** One of several sandboxes that were leased together, as it was then. */
export interface KeyMember {
  sandboxId: string;
  name: string;
  externalId: string;
  sfdcAccountId?: string | undefined;
  leaseId: string;
  fencingToken: number;
}

/** `expiresAt` of a lease that has ended early: over by any clock. */
export const GIVEN_BACK = 0;

/** TTL removes a lapsed record; it may never do so early, whichever clock is ahead. */
const TTL_GRACE_SECONDS = 3_600;

const keyItem = z.object({
  pk: z.string(),
  sandbox_id: z.string(),
  name: z.string(),
  external_id: z.string(),
  sfdc_account_id: z.string().optional(),
  lease_id: z.string(),
  fencing_token: z.int().optional(),
  heartbeat_seconds: z.int().optional(),
  allocated_at: z.int(),
  lease_expires_at: z.int(),
  expires_at: z.int(),
  remembered_until: z.int().optional(),
  request_hash: z.string(),
  attempt: z.string(),
  ticket: z.string().optional(),
  waits: z.string().optional(),
  collect_by: z.int().optional(),
  members: z
    .array(
      z.object({
        sandbox_id: z.string(),
        name: z.string(),
        external_id: z.string(),
        sfdc_account_id: z.string().optional(),
        lease_id: z.string(),
        fencing_token: z.int(),
      }),
    )
    .optional(),
  live_leases: z.int().optional(),
});

export const keyTtl = ({ rememberedUntil, expiresAt }: Pick<KeyRecord, 'rememberedUntil' | 'expiresAt'>) =>
  (rememberedUntil ?? expiresAt) + TTL_GRACE_SECONDS;

export const toKeyItem = (record: KeyRecord): Item => ({
  ...idempotencyKey(record.pk),
  sandbox_id: record.sandboxId,
  name: record.name,
  external_id: record.externalId,
  sfdc_account_id: record.sfdcAccountId,
  lease_id: record.leaseId,
  fencing_token: record.fencingToken,
  heartbeat_seconds: record.heartbeatSeconds,
  allocated_at: record.allocatedAt,
  lease_expires_at: record.leaseExpiresAt,
  expires_at: record.expiresAt,
  remembered_until: record.rememberedUntil,
  request_hash: record.requestHash,
  attempt: record.attempt,
  ticket: record.ticket,
  waits: record.waits,
  collect_by: record.collectBy,
  members: record.members?.map((member) => ({
    sandbox_id: member.sandboxId,
    name: member.name,
    external_id: member.externalId,
    sfdc_account_id: member.sfdcAccountId,
    lease_id: member.leaseId,
    fencing_token: member.fencingToken,
  })),
  live_leases: record.liveLeases,
  ttl: keyTtl(record),
});

export function toKeyRecord(item: Item): KeyRecord {
  const row = keyItem.parse(item);
  return {
    pk: row.pk,
    sandboxId: row.sandbox_id,
    name: row.name,
    externalId: row.external_id,
    sfdcAccountId: row.sfdc_account_id,
    leaseId: row.lease_id,
    fencingToken: row.fencing_token,
    heartbeatSeconds: row.heartbeat_seconds,
    allocatedAt: row.allocated_at,
    leaseExpiresAt: row.lease_expires_at,
    expiresAt: row.expires_at,
    rememberedUntil: row.remembered_until,
    requestHash: row.request_hash,
    attempt: row.attempt,
    ticket: row.ticket,
    waits: row.waits,
    collectBy: row.collect_by,
    members: row.members?.map((member) => ({
      sandboxId: member.sandbox_id,
      name: member.name,
      externalId: member.external_id,
      sfdcAccountId: member.sfdc_account_id,
      leaseId: member.lease_id,
      fencingToken: member.fencing_token,
    })),
    liveLeases: row.live_leases,
  };
}

/** Longer than anybody waits. */
const WAITING_TTL_SECONDS = 90 * 86_400;

/** A key whose caller waits. A replica that knows of no line reads it as a key whose lease is over. */
export const toWaitingKeyItem = ({ ticket, keyPk, request, attempt, joinedAtMs }: Place): Item => ({
  ...toKeyItem({
    pk: keyPk,
    sandboxId: '',
    name: '',
    externalId: '',
    leaseId: '',
    allocatedAt: 0,
    leaseExpiresAt: 0,
    expiresAt: GIVEN_BACK,
    requestHash: request.hash,
    attempt,
    waits: ticket,
  }),
  ttl: Math.ceil(joinedAtMs / 1000) + WAITING_TTL_SECONDS,
});

/** A key's record, whatever it says. */
export async function findKey(
  client: StoreClient,
  pk: string,
  signal?: AbortSignal,
): Promise<KeyRecord | undefined> {
  const item = await client.get(idempotencyKey(pk), signal);
  return item && toKeyRecord(item);
}

/**
 * The record of a key that has a lease at `nowMs`, or remembers one; TTL deletion is late by design, so the time is
 * compared here.
 */
export async function readKey(
  client: StoreClient,
  pk: string,
  nowMs: number,
  signal?: AbortSignal,
): Promise<KeyRecord | undefined> {
  const record = await findKey(client, pk, signal);
  if (!record) return undefined;
  const isRemembered = (record.rememberedUntil ?? 0) * 1000 > nowMs;
  return isRemembered || !isLeaseOver(record, nowMs) ? record : undefined;
}
