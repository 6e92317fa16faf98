import {
  DescribeContinuousBackupsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type TableDescription,
} from '@aws-sdk/client-dynamodb';
import type { Clock, NewId } from '../clock.ts';
import type { StoreClient } from './dynamo/client.ts';
import { ConditionFailedError } from './dynamo/errors.ts';
import { isOff } from './dynamo/store-time.ts';
import { type Finding, ok, untold } from './finding.ts';
import { IS_NEW } from './sandboxes/conditions.ts';
import { bucketPk, SANDBOX_SK } from './sandboxes/keys.ts';
import { TTL_ATTRIBUTE, tableDefinition } from './table.ts';
import { judgeCapacity } from './table-capacity.ts';

interface Deps {
  client: StoreClient;
  buckets: number;
  clock: Clock;
  newId: NewId;
  /** The most leases a second that are known to have been asked for. */
  peakPerSecond?: (() => number) | undefined;
}

interface Looks extends Deps {
  /** All buckets that are not known to be well; that is looked at over many looks, because what is read is paid for. */
  unwell: Set<number>;
  /** Looks so far. */
  number: number;
  /** What the checks of one look share. */
  described?: { atMs: number; table: Promise<TableDescription> };
}

type Check = (looks: Looks, signal: AbortSignal) => Promise<Finding>;

/** More than this between our clock and the server's is worth a look: leases are timed by ours. */
const MAX_CLOCK_SKEW_MS = 2_000;
const PROBE_TTL_SECONDS = 3_600;
const LIVE_SAMPLE = 100;

const CHECKS: Record<string, Check> = {
  schema: checkSchema,
  conditional_writes: checkConditionalWrites,
  multi_region: checkMultiRegion,
  ttl: checkTtl,
  capacity: checkCapacity,
  point_in_time_recovery: checkPointInTimeRecovery,
  deletion_protection: checkDeletionProtection,
  clock_skew: checkClockSkew,
};

export const RUNTIME_CHECK_NAMES = Object.keys(CHECKS);

/** Checks of what the broker's promises rest on in the store, by name. */
export function storeChecks(deps: Deps): Record<string, (signal: AbortSignal) => Promise<Finding>> {
  const looks: Looks = {
    ...deps,
    unwell: new Set(Array.from({ length: deps.buckets }, (_, bucket) => bucket)),
    number: 0,
  };
  return Object.fromEntries(
    Object.entries(CHECKS).map(([name, check]) => [name, (signal: AbortSignal) => check(looks, signal)]),
  );
}

/** Of this look: longer than its checks need to ask for it. */
const ONE_LOOK_MS = 1_000;

function describeTable(looks: Looks, signal: AbortSignal): Promise<TableDescription> {
  const nowMs = performance.now();
  if (!looks.described || nowMs - looks.described.atMs > ONE_LOOK_MS) {
    looks.described = { atMs: nowMs, table: askForDescription(looks, signal) };
  }
  return looks.described.table;
}

async function askForDescription({ client }: Deps, signal: AbortSignal): Promise<TableDescription> {
  const command = new DescribeTableCommand({ TableName: client.table });
  const { Table } = await client.raw.send(command, { abortSignal: signal });
  if (!Table) throw new Error('no description');
  return Table;
}

async function checkSchema(deps: Looks, signal: AbortSignal): Promise<Finding> {
  const table = await describeTable(deps, signal);
  const wanted = tableDefinition(deps.client.table);
  const shape = (description: Partial<TableDescription>) => ({
    keys: description.KeySchema?.map((key) => `${key.AttributeName} ${key.KeyType}`),
    indexes: (description.LocalSecondaryIndexes ?? [])
      .map((index) => {
        const keys = index.KeySchema?.map((key) => key.AttributeName).join(', ');
        return `${index.IndexName} (${keys}) ${index.Projection?.ProjectionType}`;
      })
      .sort(),
    attributes: (description.AttributeDefinitions ?? [])
      .map((attribute) => `${attribute.AttributeName} ${attribute.AttributeType}`)
      .sort(),
  });
  const found = shape(table);
  const expected = shape(wanted);
  const details = { table_status: table.TableStatus, ...found };
  const differs = (Object.keys(expected) as (keyof typeof expected)[]).filter(
    (part) => JSON.stringify(found[part]) !== JSON.stringify(expected[part]),
  );
  if (differs.length > 0) {
    const message = `The table's ${differs.join(' and ')} are not the broker's: choose another DDB_TABLE_NAME.`;
    return { status: 'critical', message, details: { ...details, expected } };
  }
  if (table.TableStatus !== 'ACTIVE' && table.TableStatus !== 'UPDATING') {
    return { status: 'critical', message: `The table is ${table.TableStatus}.`, details };
  }
  return ok('Keys, indexes and attributes are the broker’s, and the table is active.', details);
}

/** The promise that one sandbox has one holder is as good as this: a second conditional put is refused. */
async function checkConditionalWrites({ client, clock, newId }: Deps, signal: AbortSignal): Promise<Finding> {
  const key = { pk: `PROBE#${newId()}`, sk: 'P' };
  const ttl = Math.ceil(clock.nowMs() / 1000) + PROBE_TTL_SECONDS;
  const put = (writer: string) =>
    client.put({ Item: { ...key, writer, ttl }, ConditionExpression: IS_NEW }, signal).then(
      () => true,
      (error: unknown) => {
        if (error instanceof ConditionFailedError) return false;
        throw error;
      },
    );
  const first = await put('first');
  const second = await put('second');
  const read = await client.get(key, signal);
  await client.delete({ Key: key }, signal);
  const details = { first_written: first, second_written: second, read_back: read?.writer };
  return first && !second && read?.writer === 'first'
    ? ok('A second conditional put is refused, and a consistent read sees the first.', details)
    : {
        status: 'critical',
        message: 'This store does not keep conditions or consistent reads: no lease is safe on it.',
        details,
      };
}

async function checkMultiRegion(deps: Looks, signal: AbortSignal): Promise<Finding> {
  const table = await describeTable(deps, signal);
  const regions = (table.Replicas ?? []).map((replica) => replica.RegionName);
  const details = { regions, consistency: table.MultiRegionConsistency };
  if (regions.length === 0) return ok('The table is in one region.', details);
  return table.MultiRegionConsistency === 'STRONG'
    ? ok('The table’s regions are strongly consistent.', details)
    : {
        status: 'error',
        message:
          'Two regions could lease one sandbox: use a table in one region, or one with strong consistency.',
        details,
      };
}

async function checkTtl(looks: Looks, signal: AbortSignal): Promise<Finding> {
  const { client } = looks;
  const command = new DescribeTimeToLiveCommand({ TableName: client.table });
  const { TimeToLiveDescription: ttl } = await client.raw.send(command, { abortSignal: signal });
  const details = { status: ttl?.TimeToLiveStatus, attribute: ttl?.AttributeName };
  const isOn = ttl?.TimeToLiveStatus === 'ENABLED' || ttl?.TimeToLiveStatus === 'ENABLING';
  if (isOn && ttl.AttributeName !== TTL_ATTRIBUTE) {
    const message = `TTL is on ${ttl.AttributeName}, not on ${TTL_ATTRIBUTE}: move it, or live records may vanish.`;
    return { status: 'error', message, details };
  }
  const doomed = await liveWithTtl(looks, signal);
  looks.number++;
  if (doomed.length > 0) {
    const message = 'Live sandboxes carry a TTL and would vanish: remove the attribute from them.';
    return { status: 'error', message, details: { ...details, sandboxes: doomed.slice(0, 10) } };
  }
  return isOn
    ? ok('TTL is on, and on no live sandbox that was looked at.', details)
    : {
        status: 'warning',
        message: `TTL is off: turn it on for ${TTL_ATTRIBUTE}, or the table grows.`,
        details,
      };
}

/**
 * Looks at the first hundred of a bucket: a bug that sets a TTL would not spare those. At first, and wherever there was one,
 * each time; the others in turn.
 */
async function liveWithTtl({ client, buckets, unwell, ...looks }: Looks, signal: AbortSignal) {
  const found: unknown[] = [];
  for (const bucket of unwell.add(looks.number % buckets)) {
    const { items } = await client.query(
      {
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sandbox)',
        FilterExpression: 'attribute_exists(#ttl) AND #status <> :deleted',
        ExpressionAttributeNames: { '#ttl': TTL_ATTRIBUTE, '#status': 'status' },
        ExpressionAttributeValues: { ':pk': bucketPk(bucket), ':sandbox': SANDBOX_SK, ':deleted': 'deleted' },
        Limit: LIVE_SAMPLE,
        ConsistentRead: false,
      },
      signal,
    );
    found.push(...items.map((item) => item.id));
    if (items.length === 0) unwell.delete(bucket);
  }
  return found;
}

async function checkCapacity(looks: Looks, signal: AbortSignal): Promise<Finding> {
  return judgeCapacity(await describeTable(looks, signal), looks.peakPerSecond?.() ?? 0);
}

async function checkPointInTimeRecovery({ client }: Looks, signal: AbortSignal): Promise<Finding> {
  const command = new DescribeContinuousBackupsCommand({ TableName: client.table });
  const { ContinuousBackupsDescription: backups } = await client.raw.send(command, { abortSignal: signal });
  const status = backups?.PointInTimeRecoveryDescription?.PointInTimeRecoveryStatus;
  return status === 'ENABLED'
    ? ok('Point-in-time recovery is on.', { status })
    : { status: 'warning', message: 'Point-in-time recovery is off: turn it on.', details: { status } };
}

async function checkDeletionProtection(deps: Looks, signal: AbortSignal): Promise<Finding> {
  const { DeletionProtectionEnabled: enabled } = await describeTable(deps, signal);
  return enabled
    ? ok('Deletion protection is on.', { enabled })
    : { status: 'warning', message: 'Deletion protection is off: turn it on.', details: { enabled } };
}

async function checkClockSkew(deps: Looks, signal: AbortSignal): Promise<Finding> {
  const { client, clock } = deps;
  // Whatever is asked, the answer tells the time.
  await describeTable(deps, signal);
  const offsetMs = client.time?.offsetMs(clock.nowMs());
  if (offsetMs === undefined) return untold(new Error('no Date header'));
  const details = { skew_ms: Math.round(Math.abs(offsetMs)) };
  return Math.abs(offsetMs) <= MAX_CLOCK_SKEW_MS
    ? ok('This clock and the store’s agree.', details)
    : {
        status: 'warning',
        message: isOff(offsetMs)
          ? 'This clock and the store’s differ so much that a broker here serves nobody: mend NTP on this machine.'
          : 'This clock and the store’s differ: check NTP on this machine.',
        details,
      };
}
