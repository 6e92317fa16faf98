import { hash } from 'node:crypto';
import type { NewId } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { eventOf } from '../../domain/event.ts';
import {
  type Heartbeat,
  isLeaseOver,
  keyRememberedUntil,
  type LeaseRules,
  type LeaseTerms,
  leaseTimes,
} from '../../domain/lease.ts';
import type { AllocatedSandbox, AvailableSandbox } from '../../domain/sandbox.ts';
import { allocate } from '../../domain/transitions.ts';
import type { Grant } from '../../store/sandboxes/grants.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { CallContext } from '../context.ts';
import { keyRecordOf } from './key-record.ts';

export interface AllocateInput {
  /** Who is logged in. */
  principal: string;
  holder: string;
  lab?: string | undefined;
  namePrefix?: string | undefined;
  /** The caller's `Idempotency-Key`, remembered for its time also after the lease; absent: the holder is the key. */
  idempotencyKey?: string | undefined;
  /** How long it shall last, seconds; absent: as long as a lease does unasked. */
  durationSeconds?: number | undefined;
  /** The holder will give a sign of life this often, or lose the lease, seconds; absent: it need not. */
  heartbeatSeconds?: number | undefined;
  /** Several sandboxes, all or none; absent: one. */
  count?: number | undefined;
}

/** What a holder gets. Times are epoch seconds. */
export interface GrantedLease {
  sandboxId: string;
  name: string;
  externalId: string;
  leaseId: string;
  /** Rises with each lease of a sandbox. Only a lease that an earlier version granted has none. */
  fencingToken?: number | undefined;
  allocatedAt: number;
  expiresAt: number;
  /** Only where the holder said that it would give signs of life. */
  heartbeat?: Heartbeat | undefined;
  sfdcAccountId?: string | undefined;
}

/** A key's lease. */
export interface FoundLease {
  lease: GrantedLease;
  /** True when the key already had this lease. */
  replayed: boolean;
  /** Only of a key that the caller chose: this lease is over, and the sandbox not the holder's any more. */
  leaseOver?: true | undefined;
}

/** A call for a lease, and the key it is made under. */
export interface LeaseRequest {
  keyPk: string;
  hash: string;
  /** The caller chose the key: another request under it is a mistake to be told, and one lease is all it ever gets. */
  explicitKey: boolean;
  input: AllocateInput;
}

export function toRequest(
  keyPkOf: (principal: string, holder: string, key: string) => string,
  input: AllocateInput,
): LeaseRequest {
  const { principal, holder, lab, namePrefix, idempotencyKey, durationSeconds, heartbeatSeconds, count } =
    input;
  // Whoever asks for nothing more is the same to every version: keys outlive an upgrade.
  const asked =
    (durationSeconds ?? heartbeatSeconds ?? count) === undefined
      ? []
      : [durationSeconds ?? null, heartbeatSeconds ?? null, ...(count === undefined ? [] : [count])];
  return {
    keyPk: keyPkOf(principal, holder, idempotencyKey ?? holder),
    hash: hash('sha256', JSON.stringify([lab ?? null, namePrefix ?? null, ...asked])),
    explicitKey: idempotencyKey !== undefined,
    input,
  };
}

/** What the request gets of what the rules allow. */
const termsOf = ({ durationSeconds }: AllocateInput, rules: LeaseRules): LeaseTerms => ({
  leaseSeconds: durationSeconds ?? rules.leaseSeconds,
  bufferSeconds: rules.bufferSeconds,
});

/** Throws `INVALID_REQUEST` for a duration that no lease may have, with the longest in the details. */
export function refuseTooLong(durationSeconds: number | undefined, { maxLeaseSeconds }: LeaseRules): void {
  if (durationSeconds === undefined || durationSeconds <= maxLeaseSeconds) return;
  const problem = `must be at most ${maxLeaseSeconds}, the longest a lease may last here`;
  throw new BrokerError('INVALID_REQUEST', `Body field duration_seconds ${problem}.`, {
    details: {
      fields: [{ in: 'body', name: 'duration_seconds', problem }],
      max_duration_seconds: maxLeaseSeconds,
    },
  });
}

/** What leases `seen` to the request's key from `nowMs` on. */
export function toGrant(
  deps: { newId: NewId; terms: LeaseRules },
  { keyPk, hash, explicitKey, input }: LeaseRequest,
  seen: AvailableSandbox,
  { attempt, nowMs }: { attempt: string; nowMs: number },
  context: CallContext,
): Grant {
  const leaseId = deps.newId();
  const times = leaseTimes(nowMs, termsOf(input, deps.terms));
  const { heartbeatSeconds } = input;
  const rememberedUntil = explicitKey ? keyRememberedUntil(times) : undefined;
  const next = allocate(
    seen,
    {
      leaseId,
      holder: input.holder,
      lab: input.lab,
      idempotencyPk: keyPk,
      keyRememberedUntil: rememberedUntil,
      ...(heartbeatSeconds !== undefined && {
        heartbeat: { seconds: heartbeatSeconds, by: times.allocatedAt + heartbeatSeconds },
      }),
      ...times,
    },
    nowMs,
  );
  const key = keyRecordOf(next, { requestHash: hash, attempt });
  return { seen, next, event: eventOf(seen, next, 'allocate', context), key, nowMs };
}

/** Whether the record speaks for this request: a lease that is over only where the caller chose the key. */
export const answersWith = (request: LeaseRequest, record: KeyRecord, nowMs: number): boolean =>
  request.explicitKey || !isLeaseOver(record, nowMs);

/**
 * A key that the caller chose is for one request; a default one has one number of sandboxes at a time. Throws
 * `IDEMPOTENCY_KEY_REUSED`.
 */
export function refuseOtherRequest(request: LeaseRequest, record: KeyRecord): void {
  if (!request.explicitKey) {
    const { members } = record;
    if (record.waits !== undefined || members?.length === request.input.count) return;
    throw new BrokerError(
      'IDEMPOTENCY_KEY_REUSED',
      `The holder has ${members?.length ?? 1} under its own key; use an Idempotency-Key for another number.`,
    );
  }
  if (record.requestHash === request.hash) return;
  throw new BrokerError(
    'IDEMPOTENCY_KEY_REUSED',
    'This Idempotency-Key was used for another request (lab, name prefix, duration, heartbeat or count); use a new key for a new request.',
  );
}

/** The key's lease; not a replay but our own win, if `attempt` made it and the answer was lost on the way. */
export function replay(request: LeaseRequest, record: KeyRecord, attempt: string, nowMs: number): FoundLease {
  const lease = toGranted(record);
  if (request.explicitKey && isLeaseOver(record, nowMs)) return { lease, replayed: true, leaseOver: true };
  return { lease, replayed: record.attempt !== attempt };
}

export const toGranted = (record: KeyRecord): GrantedLease => ({
  sandboxId: record.sandboxId,
  name: record.name,
  externalId: record.externalId,
  leaseId: record.leaseId,
  ...(record.fencingToken !== undefined && { fencingToken: record.fencingToken }),
  allocatedAt: record.allocatedAt,
  expiresAt: record.leaseExpiresAt,
  ...(record.heartbeatSeconds !== undefined && {
    heartbeat: { seconds: record.heartbeatSeconds, by: record.allocatedAt + record.heartbeatSeconds },
  }),
  ...(record.sfdcAccountId !== undefined && { sfdcAccountId: record.sfdcAccountId }),
});

/** What the holder of a sandbox has, from its record. */
export const grantedOf = ({ id, name, externalId, metadata, lease }: AllocatedSandbox): GrantedLease => ({
  sandboxId: id,
  name,
  externalId,
  leaseId: lease.leaseId,
  ...(lease.fencingToken !== undefined && { fencingToken: lease.fencingToken }),
  allocatedAt: lease.allocatedAt,
  expiresAt: lease.expiresAt,
  ...(lease.heartbeat && { heartbeat: lease.heartbeat }),
  ...(metadata['sfdc_account_id'] !== undefined && { sfdcAccountId: metadata['sfdc_account_id'] }),
});
