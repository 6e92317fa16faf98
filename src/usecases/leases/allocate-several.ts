import pLimit from 'p-limit';
import { BrokerError, StoreUnavailableError } from '../../domain/errors.ts';
import { isLeaseOver } from '../../domain/lease.ts';
import type { AllocatedSandbox, AvailableSandbox } from '../../domain/sandbox.ts';
import type { GroupGrant, GroupOutcome } from '../../store/sandboxes/group-grants.ts';
import type { KeyMember, KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { ReadyList } from '../../store/sandboxes/ready-list.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { limitTime, pause } from '../../time-limit.ts';
import type { CallContext } from '../context.ts';
import type { AllocateDeps } from './allocate-sandbox.ts';
import { endIfSilent } from './confirm-lease.ts';
import {
  type AllocateInput,
  type FoundLease,
  grantedOf,
  type LeaseRequest,
  refuseOtherRequest,
  refuseTooLong,
  toGrant,
  toRequest,
} from './lease-request.ts';
import { busy } from './try-grant.ts';

/** What a key has of several sandboxes. */
export interface SeveralResult {
  leases: Pick<FoundLease, 'lease' | 'leaseOver'>[];
  /** True when the key already had them. */
  replayed: boolean;
  /** Attempts that were lost to others before. */
  conflicts: number;
}

/**
 * Leases `count` free sandboxes to a key, all or none, or finds those that it already has.
 *
 * Throws `NO_SANDBOXES_AVAILABLE` only after a look at the whole pool that began after the call and saw fewer; else as
 * an allocation of one does. `IDEMPOTENCY_KEY_REUSED` also where the holder has another number under its default key.
 */
export type AllocateSeveral = (
  input: AllocateInput & { count: number },
  context: CallContext,
) => Promise<SeveralResult>;

export interface AllocateSeveralDeps
  extends Pick<AllocateDeps, 'readKey' | 'keyPk' | 'clock' | 'newId' | 'terms' | 'deadlineMs'> {
  store: Pick<SandboxStore, 'get' | 'write' | 'grantSeveral'>;
  reads: Pick<SandboxReads, 'buckets' | 'byStatus' | 'byIds'>;
  readyList: Pick<ReadyList, 'takenElsewhere'>;
}

/** More than are wanted, so that not everybody wants the same. */
const SPARE = 16;

export function allocateSeveral(deps: AllocateSeveralDeps): AllocateSeveral {
  /** One after the other: those of one process do not get in each other's way. */
  const inTurn = pLimit(1);
  return async (input, context) => {
    refuseTooLong(input.durationSeconds, deps.terms);
    const request = toRequest(deps.keyPk, input);
    const deadline = limitTime(deps.deadlineMs);
    try {
      return await inTurn(() => lease(deps, { ...request, input }, context, deadline.signal));
    } finally {
      deadline.clear();
    }
  };
}

interface SeveralRequest extends LeaseRequest {
  input: AllocateInput & { count: number };
}

async function lease(
  deps: AllocateSeveralDeps,
  request: SeveralRequest,
  context: CallContext,
  deadline: AbortSignal,
): Promise<SeveralResult> {
  const { count, namePrefix } = request.input;
  const attempt = deps.newId();
  let conflicts = 0;

  async function answerOf(record: KeyRecord | undefined): Promise<SeveralResult | undefined> {
    if (!record) return undefined;
    const leases = await leasesOf(deps, request, record, { ...context, signal: deadline });
    return leases && { leases, replayed: record.attempt !== attempt, conflicts };
  }
  const ofKey = async () => await answerOf(await deps.readKey(request.keyPk, deadline));

  const before = await ofKey();
  if (before) return before;
  while (!deadline.aborted) {
    const free = await readFree(deps, namePrefix, count + SPARE, deadline);
    if (free.length < count) {
      // Another replica may just have served this very key.
      const answer = await ofKey();
      if (answer) return answer;
      throw fewerFree(count, free.length);
    }
    const group = toGroup(deps, request, free.slice(0, count), attempt, context);
    const outcome = await grantOrRead(deps, group, deadline);
    if (outcome.type === 'granted') {
      deps.readyList.takenElsewhere(group.grants.map(({ seen }) => seen));
      const leases = group.grants.map(({ next }) => ({ lease: grantedOf(next) }));
      return { leases, replayed: false, conflicts };
    }
    const answer = outcome.type === 'key_taken' ? await answerOf(outcome.record) : undefined;
    if (answer) return answer;
    conflicts++;
    await pause(5 + Math.random() * 20, deadline);
  }
  throw busy();
}

/** Free sandboxes in any order, as many as wanted; fewer only where the pool has no more, as it was since the call. */
async function readFree(
  { reads }: AllocateSeveralDeps,
  namePrefix: string | undefined,
  wanted: number,
  signal: AbortSignal,
): Promise<AvailableSandbox[]> {
  const found: AvailableSandbox[] = [];
  const first = Math.floor(Math.random() * reads.buckets);
  for (let offset = 0; offset < reads.buckets && found.length < wanted; offset++) {
    let after: Awaited<ReturnType<typeof reads.byStatus>>['after'];
    do {
      const bucket = (first + offset) % reads.buckets;
      const page = await reads.byStatus(
        { status: 'available', namePrefix, bucket, limit: wanted, after },
        signal,
      );
      found.push(...page.sandboxes.filter((each) => each.status === 'available'));
      after = page.after;
    } while (after && found.length < wanted);
  }
  return found
    .map((sandbox) => ({ sandbox, rank: Math.random() }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ sandbox }) => sandbox);
}

function toGroup(
  deps: AllocateSeveralDeps,
  request: SeveralRequest,
  free: readonly AvailableSandbox[],
  attempt: string,
  context: CallContext,
): GroupGrant {
  const groupId = deps.newId();
  const nowMs = deps.clock.nowMs();
  const [first, ...others] = free.map((seen) => {
    const { next, ...grant } = toGrant(deps, request, seen, { attempt, nowMs }, context);
    return { ...grant, next: { ...next, lease: { ...next.lease, groupId } } };
  });
  if (!first) throw new RangeError('a group of none');
  const grants = [first, ...others];
  const key: KeyRecord = {
    ...first.key,
    leaseId: groupId,
    members: grants.map(({ next }) => memberOf(next)),
    liveLeases: grants.length,
  };
  return { grants, key, nowMs };
}

const memberOf = ({ id, name, externalId, metadata, lease, generation }: AllocatedSandbox): KeyMember => ({
  sandboxId: id,
  name,
  externalId,
  sfdcAccountId: metadata['sfdc_account_id'],
  leaseId: lease.leaseId,
  fencingToken: lease.fencingToken ?? generation,
});

/** Sends the transaction; where the store does not say what became of it, the key does. */
async function grantOrRead(
  { store, readKey }: AllocateSeveralDeps,
  group: GroupGrant,
  deadline: AbortSignal,
): Promise<GroupOutcome> {
  try {
    return await store.grantSeveral(group, deadline);
  } catch (error) {
    if (!(error instanceof StoreUnavailableError && error.mayComeTrue) || deadline.aborted) throw error;
    const record = await readKey(group.key.pk, deadline);
    if (!record) throw error;
    return record.attempt === group.key.attempt ? { type: 'granted' } : { type: 'key_taken', record };
  }
}

/**
 * What a key has, by its sandboxes' own records; undefined where its leases are over and nobody remembers them. Throws
 * `IDEMPOTENCY_KEY_REUSED`.
 */
async function leasesOf(
  { store, reads, clock }: AllocateSeveralDeps,
  request: LeaseRequest,
  record: KeyRecord,
  context: CallContext,
): Promise<SeveralResult['leases'] | undefined> {
  const isOver = isLeaseOver(record, clock.nowMs());
  if (isOver && !request.explicitKey) return undefined;
  refuseOtherRequest(request, record);
  const { members = [] } = record;
  const ids = members.map(({ sandboxId }) => sandboxId);
  const found = new Map((await reads.byIds(ids, context.signal)).map((sandbox) => [sandbox.id, sandbox]));
  const leases: SeveralResult['leases'] = [];
  for (const member of members) {
    const seen = await endIfSilent({ store, clock }, found.get(member.sandboxId), member.leaseId, context);
    leases.push(seen ? { lease: grantedOf(seen) } : { lease: lastKnown(member, record), leaseOver: true });
  }
  return request.explicitKey || leases.some(({ leaseOver }) => !leaseOver) ? leases : undefined;
}

const lastKnown = (member: KeyMember, record: KeyRecord): FoundLease['lease'] => ({
  sandboxId: member.sandboxId,
  name: member.name,
  externalId: member.externalId,
  leaseId: member.leaseId,
  fencingToken: member.fencingToken,
  allocatedAt: record.allocatedAt,
  expiresAt: record.leaseExpiresAt,
  ...(member.sfdcAccountId !== undefined && { sfdcAccountId: member.sfdcAccountId }),
});

const RETRY_AFTER_SECONDS = 5;

const fewerFree = (count: number, free: number) =>
  new BrokerError(
    'NO_SANDBOXES_AVAILABLE',
    `Of the ${count} sandboxes only ${free} are free at the moment.`,
    {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      details: { count, free },
    },
  );
