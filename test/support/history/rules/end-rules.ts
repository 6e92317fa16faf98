import { HEARTBEAT_GRACE_SECONDS, type Lease } from '../../../../src/domain/lease.ts';
import type { Sandbox } from '../../../../src/domain/sandbox.ts';
import type { KeyRecord } from '../../../../src/store/sandboxes/idempotency.ts';
import type { History, Violation } from '../history.ts';
import type { LeaseEnds } from '../lease-ends.ts';
import type { FoundLease, Step, Timeline } from '../timeline.ts';
import { told } from './chain-rules.ts';

/** Every sandbox has a record at the end that its history explains, and that somebody will look at if need be. */
export function checkEnd({ chains, leases }: Timeline, history: History, ends: LeaseEnds): Violation[] {
  const records = new Map(history.sandboxes.map((sandbox) => [sandbox.id, sandbox]));
  const ids = new Set([...history.expectedIds, ...chains.keys(), ...records.keys()]);
  const unaccounted = [...ids].flatMap((id) => {
    const record = records.get(id);
    if (record === undefined) return [`${id} has no record`];
    return explain(record, chains.get(id)?.at(-1), history);
  });
  const wrongEnds = leases.flatMap((lease) => {
    const record = records.get(lease.sandboxId);
    const isHeld = record?.status === 'allocated' && record.lease.leaseId === lease.leaseId;
    return isHeld && history.bufferMs !== undefined ? wrongEnd(record.lease, lease, history, ends) : [];
  });
  return [
    ...[...unaccounted, ...strayKeys(records, history)].map(
      (message) => ({ rule: 'unaccounted', message }) as const,
    ),
    ...wrongEnds.map((message) => ({ rule: 'wrong_end', message }) as const),
  ];
}

/** A lease that goes on ends when its history says; and for its silence no later than it was heard of, nor earlier. */
function wrongEnd(
  { expiresAt, reclaimAt, heartbeat }: Lease,
  found: FoundLease,
  { asOfMs }: History,
  ends: LeaseEnds,
): string[] {
  const [endMs, reclaimMs] = [ends.endMs(found), ends.reclaimMs(found)];
  if (expiresAt * 1000 !== endMs || reclaimAt * 1000 !== reclaimMs) {
    return [`${told(found.granted)} ends at ${expiresAt} and ${reclaimAt}, not ${endMs} and ${reclaimMs}`];
  }
  const silentMs = heartbeat === undefined ? Infinity : (heartbeat.by + HEARTBEAT_GRACE_SECONDS) * 1000;
  const [fromMs, byMs] = [ends.silentFromMs(found), ends.silentByMs(found, asOfMs)];
  if (silentMs >= fromMs && silentMs <= byMs) return [];
  return [
    `${told(found.granted)} is over for silence at ${silentMs}, which is to be between ${fromMs} and ${byMs}`,
  ];
}

function explain(record: Sandbox, last: Step | undefined, history: History): string[] {
  const { id, status, generation } = record;
  if (last && (last.event.to !== status || last.event.generation > generation)) {
    return [`${id} is ${status} in generation ${generation}; its history ends with ${told(last)}`];
  }
  if (record.status === 'pending_deletion' && record.cleanup.dueMs === undefined) {
    return [`${id} waits for a cleaner that will never come`];
  }
  if (record.status !== 'allocated') return [];
  const { lease } = record;
  if (last && last.event.leaseId !== lease.leaseId) {
    return [`${id} has the lease ${lease.leaseId}; its history ends with ${told(last)}`];
  }
  const hasKey = history.keys.some(
    (key) => key.pk === lease.idempotencyPk && leasesOf(key).some(({ leaseId }) => leaseId === lease.leaseId),
  );
  return hasKey || isOver(lease.reclaimAt, history)
    ? []
    : [`${id} is leased to ${lease.holder}, whose key has no memory of it`];
}

/**
 * A key in force is of a lease in force: whoever asks again is told of a sandbox that is its own. Of several it counts those
 * that are.
 */
function strayKeys(records: ReadonlyMap<string, Sandbox>, history: History): string[] {
  return history.keys.flatMap((key) => {
    const leases = leasesOf(key);
    const held = leases.filter(({ sandboxId, leaseId }) => {
      const record = records.get(sandboxId);
      return record?.status === 'allocated' && record.lease.leaseId === leaseId;
    });
    if (held.length === (key.liveLeases ?? 1) || isOver(key.expiresAt, history)) return [];
    const ofThem = leases.map(({ sandboxId }) => `${sandboxId}, which is ${records.get(sandboxId)?.status}`);
    return [`the key ${key.pk} tells of ${key.liveLeases ?? 'a'} lease of ${ofThem.join(' and ')}`];
  });
}

/** The leases that a key tells of. */
const leasesOf = (key: KeyRecord): readonly Pick<KeyRecord, 'sandboxId' | 'leaseId'>[] =>
  key.members ?? [key];

const isOver = (atSeconds: number, { asOfMs, clockSkewMs = 0 }: History): boolean =>
  atSeconds * 1000 <= asOfMs + clockSkewMs;
