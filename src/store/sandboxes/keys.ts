import { hash } from 'node:crypto';
import type { JobStatus } from '../../domain/job.ts';
import type { AlertSeverity } from '../../domain/resilience/alert.ts';
import type { SandboxStatus } from '../../domain/sandbox.ts';
import type { Key } from '../dynamo/client.ts';

/** The one pool there is. It is part of every index key, so that more can be added without a new table. */
export const POOL = 'default';

export const BY_STATUS = 'by_status';
export const BY_DUE = 'by_due';

/** Index sort keys may have 1,024 bytes; a name is cut in the index (not in the record) to leave room for the rest. */
const MAX_INDEXED_NAME_BYTES = 900;

const DUE_DIGITS = 13;
const GENERATION_DIGITS = 12;

/** Where a sandbox lives follows from its id alone. `buckets` is a power of two. */
export function bucketOf(sandboxId: string, buckets: number): number {
  return hash('sha256', sandboxId, 'buffer').readUInt32BE(0) & (buckets - 1);
}

export const bucketPk = (bucket: number): string => `B#${bucket.toString(16).padStart(2, '0')}`;

/** The beginning of a sandbox's sort key; its id follows. */
export const SANDBOX_SK = 'S#';

export const sandboxKey = (sandboxId: string, buckets: number): Key => ({
  pk: bucketPk(bucketOf(sandboxId, buckets)),
  sk: `${SANDBOX_SK}${sandboxId}`,
});

/** Scoped to principal and holder, so that nobody can replay another's lease by naming its key. */
export const idempotencyPk = (principal: string, holder: string, key: string): string =>
  `I#${hash('sha256', JSON.stringify([principal, holder, key]))}`;

export const idempotencyKey = (pk: string): Key => ({ pk, sk: 'I' });

export const historyPk = (sandboxId: string): string => `H#${sandboxId}`;

export const eventKey = (sandboxId: string, generation: number): Key => ({
  pk: historyPk(sandboxId),
  sk: generation.toString().padStart(GENERATION_DIGITS, '0'),
});

export const LINE_PK = `LINE#${POOL}`;
/** Sorts before every place. */
export const LINE_STATE_KEY: Key = { pk: LINE_PK, sk: '!' };

export const placeKey = (ticket: string): Key => ({ pk: LINE_PK, sk: ticket });

export const LAYOUT_KEY: Key = { pk: 'CFG', sk: 'layout' };
export const COUNTS_KEY: Key = { pk: 'STAT', sk: POOL };
export const REPLICAS_PK = 'REPLICAS';
export const replicaKey = (replicaId: string): Key => ({ pk: REPLICAS_PK, sk: replicaId });
export const turnKey = (loop: string): Key => ({ pk: `TURN#${loop}`, sk: 'T' });

export const GOVERNOR_PK = 'GOV';
export const quotaUseKey = (resource: string): Key => ({ pk: GOVERNOR_PK, sk: `use#${resource}` });
export const quotaLimitKey = (resource: string): Key => ({ pk: GOVERNOR_PK, sk: `limit#${resource}` });

/** Scoped to the principal: nobody sees another's answer by naming its key. */
export const keptAnswerKey = (principal: string, key: string): Key => ({
  pk: `ANSWER#${hash('sha256', JSON.stringify([principal, key]))}`,
  sk: 'A',
});

/** The partition of the day, in UTC, of a time in epoch milliseconds. */
export const alertsOfDayPk = (atMs: number): string => `ALERTS#${new Date(atMs).toISOString().slice(0, 10)}`;

export const alertKey = (atMs: number, id: string): Key => ({
  pk: alertsOfDayPk(atMs),
  sk: `${dueDigits(atMs)}#${id}`,
});

/** The sort key of `by_status`: a day's alerts of one severity, by time. */
export const alertSeverityKey = (severity: AlertSeverity, atMs: number, id: string): string =>
  `${severity}#${dueDigits(atMs)}#${id}`;

/** Which level the pool's free sandboxes were at last. */
export const POOL_LEVEL_KEY: Key = { pk: 'POOL_LEVEL', sk: POOL };

export const JOBS_PK = 'JOBS';
export const JOB_SEQUENCE_KEY: Key = { pk: 'JOBSEQ', sk: 'S' };
export const JOB_TOTALS_KEY: Key = { pk: 'JOBSTAT', sk: 'T' };

const JOB_NUMBER_DIGITS = 10;

/** Sorts by the queue's clock, then by the number. */
export const jobId = (clockMs: number, seq: number): string =>
  `job-${dueDigits(clockMs)}-${seq.toString().padStart(JOB_NUMBER_DIGITS, '0')}`;

export const jobKey = (id: string): Key => ({ pk: JOBS_PK, sk: id });

/** The sort key of `by_status`: jobs in one status, in their order. */
export const jobStatusKey = (status: JobStatus, id: string): string => `${status}#${id}`;

/** The beginning of `by_status` sort keys for a status, and for names that begin with `namePrefix`. */
export const statusPrefix = (status: SandboxStatus, namePrefix = ''): string =>
  `${POOL}#${status}#${cut(namePrefix)}`;

export const statusSortKey = (status: SandboxStatus, name: string): string => statusPrefix(status, name);

export const dueSortKey = (dueMs: number, sandboxId: string): string => `${dueDigits(dueMs)}#${sandboxId}`;

/** Sorts after everything due at or before `nowMs` and before everything due later. */
export const dueUpTo = (nowMs: number): string => dueDigits(nowMs + 1);

const dueDigits = (ms: number): string => Math.ceil(ms).toString().padStart(DUE_DIGITS, '0');

/** Cuts on a whole character, so that the key stays valid UTF-8 and prefixes of it stay prefixes. */
function cut(name: string): string {
  if (Buffer.byteLength(name) <= MAX_INDEXED_NAME_BYTES) return name;
  let bytes = 0;
  let end = 0;
  for (const character of name) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_INDEXED_NAME_BYTES) break;
    end += character.length;
  }
  return name.slice(0, end);
}
