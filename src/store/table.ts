import { setTimeout as delay } from 'node:timers/promises';
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import { z } from 'zod';
import type { StoreClient } from './dynamo/client.ts';
import { ConditionFailedError } from './dynamo/errors.ts';
import { retryUnavailable, translate } from './dynamo/faults.ts';
import { IS_NEW } from './sandboxes/conditions.ts';
import { BY_DUE, BY_STATUS, LAYOUT_KEY } from './sandboxes/keys.ts';

/** Raised when what the records look like changes in a way that older code cannot read. */
const SCHEMA_VERSION = 1;
const POLL_MS = 100;
const ACTIVE_WITHIN_MS = 60_000;

export const TTL_ATTRIBUTE = 'ttl';

/** The table's definition: one table, two local indexes, on-demand capacity. Deployment files are held against it. */
export const tableDefinition = (table: string) =>
  ({
    TableName: table,
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [
      { AttributeName: 'pk', AttributeType: 'S' },
      { AttributeName: 'sk', AttributeType: 'S' },
      { AttributeName: 'status_key', AttributeType: 'S' },
      { AttributeName: 'due_key', AttributeType: 'S' },
    ],
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
    LocalSecondaryIndexes: [localIndex(BY_STATUS, 'status_key'), localIndex(BY_DUE, 'due_key')],
  }) satisfies CreateTableCommandInput;

const localIndex = (name: string, sortKey: string) => ({
  IndexName: name,
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' as const },
    { AttributeName: sortKey, KeyType: 'RANGE' as const },
  ],
  Projection: { ProjectionType: 'ALL' as const },
});

/** The table is not there, not as it should be, or laid out for another configuration: the start must stop. */
export class TableError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'TableError';
  }
}

/**
 * Makes sure that the table is there, active and laid out for `buckets`; creates it where that is allowed.
 * Several replicas may do so at once. Throws {@link TableError} with a sentence that says how to mend it.
 */
export async function openTable(
  client: StoreClient,
  options: { buckets: number; create: boolean },
  signal: AbortSignal,
): Promise<void> {
  try {
    await untilActive(client, options.create, signal);
    if (options.create) await enableTimeToLive(client, signal);
    await checkLayout(client, options.buckets, signal);
  } catch (error) {
    throw translate(error, signal);
  }
}

async function untilActive(client: StoreClient, create: boolean, signal: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + ACTIVE_WITHIN_MS;
  while (performance.now() < deadlineMs) {
    const status = await describe(client, signal);
    if (status === 'ACTIVE') return;
    if (status === undefined) {
      if (!create) {
        throw new TableError(
          `The table ${client.table} does not exist. Create it, or set DDB_CREATE_TABLE=true to let the broker do it.`,
        );
      }
      await createTable(client, signal);
    } else {
      await delay(POLL_MS, undefined, { signal });
    }
  }
  throw new TableError(
    `The table ${client.table} did not become active within ${ACTIVE_WITHIN_MS / 1000} s.`,
  );
}

/** The table's status, undefined where there is no table. Throws for a table of another shape. */
async function describe(client: StoreClient, signal: AbortSignal): Promise<string | undefined> {
  try {
    const command = new DescribeTableCommand({ TableName: client.table });
    const { Table } = await retryUnavailable(() => client.raw.send(command, { abortSignal: signal }), signal);
    const indexes = (Table?.LocalSecondaryIndexes ?? []).map((index) => index.IndexName);
    const missing = [BY_STATUS, BY_DUE].filter((index) => !indexes.includes(index));
    if (missing.length > 0) {
      throw new TableError(
        `The table ${client.table} has no local index ${missing.join(' and ')}. Local indexes exist from creation on: choose another DDB_TABLE_NAME.`,
      );
    }
    return Table?.TableStatus;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

async function createTable(client: StoreClient, signal: AbortSignal): Promise<void> {
  const command = new CreateTableCommand(tableDefinition(client.table));
  try {
    await retryUnavailable(() => client.raw.send(command, { abortSignal: signal }), signal);
  } catch (error) {
    // Another replica is creating it at this moment, or it was us: all wait for it to become active.
    if (!(error instanceof ResourceInUseException)) throw error;
  }
}

/** Also where the table was there already: whoever created it may have ended before it came to this. */
async function enableTimeToLive(client: StoreClient, signal: AbortSignal): Promise<void> {
  if (!(await livesForever(client, signal))) return;
  const command = new UpdateTimeToLiveCommand({
    TableName: client.table,
    TimeToLiveSpecification: { AttributeName: TTL_ATTRIBUTE, Enabled: true },
  });
  try {
    await retryUnavailable(() => client.raw.send(command, { abortSignal: signal }), signal);
  } catch (error) {
    // It is refused where another replica has done it in between.
    if (await livesForever(client, signal)) throw error;
  }
}

async function livesForever(client: StoreClient, signal: AbortSignal): Promise<boolean> {
  const command = new DescribeTimeToLiveCommand({ TableName: client.table });
  const answer = await retryUnavailable(() => client.raw.send(command, { abortSignal: signal }), signal);
  return answer.TimeToLiveDescription?.TimeToLiveStatus === 'DISABLED';
}

const layoutItem = z.object({ buckets: z.int(), schema_version: z.int() });

async function checkLayout(client: StoreClient, buckets: number, signal: AbortSignal): Promise<void> {
  const layout = await readOrSetLayout(client, buckets, signal);
  if (layout.buckets !== buckets) {
    throw new TableError(
      `The table ${client.table} was laid out with ${layout.buckets} buckets, DDB_BUCKETS says ${buckets}: set it to ${layout.buckets}.`,
    );
  }
  if (layout.schema_version !== SCHEMA_VERSION) {
    throw new TableError(
      `The table ${client.table} has schema version ${layout.schema_version}, this broker reads version ${SCHEMA_VERSION}.`,
    );
  }
}

async function readOrSetLayout(client: StoreClient, buckets: number, signal: AbortSignal) {
  const wanted = { buckets, schema_version: SCHEMA_VERSION };
  try {
    await client.put(
      {
        // A table of an older version does not tell whether it was ever stocked.
        Item: { ...LAYOUT_KEY, ...wanted, keeps_stock: true },
        ConditionExpression: IS_NEW,
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
      signal,
    );
    return wanted;
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    return layoutItem.parse(error.item);
  }
}
