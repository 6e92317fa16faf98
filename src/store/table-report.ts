import { DescribeTableCommand, ResourceNotFoundException } from '@aws-sdk/client-dynamodb';
import type { StoreClient } from './dynamo/client.ts';
import { translate } from './dynamo/faults.ts';
import { LAYOUT_KEY } from './sandboxes/keys.ts';

/** What a table is like, as the store tells. */
export interface TableReport {
  table: string;
  exists: boolean;
  status?: string | undefined;
  /** As it was laid out; absent before a broker's first start on it. */
  buckets?: number | undefined;
  schemaVersion?: number | undefined;
  billing?: string | undefined;
  indexes?: string[] | undefined;
  /** As of some hours ago on AWS. */
  itemCount?: number | undefined;
  sizeBytes?: number | undefined;
}

/** Looks at the table and changes nothing. Throws `StoreUnavailableError` and what the store refuses. */
export async function reportTable(client: StoreClient, signal: AbortSignal): Promise<TableReport> {
  try {
    const command = new DescribeTableCommand({ TableName: client.table });
    const { Table } = await client.raw.send(command, { abortSignal: signal });
    const layout = Table?.TableStatus === 'CREATING' ? undefined : await client.get(LAYOUT_KEY, signal);
    return {
      table: client.table,
      exists: true,
      status: Table?.TableStatus,
      buckets: wholeOf(layout?.buckets),
      schemaVersion: wholeOf(layout?.schema_version),
      billing: Table?.BillingModeSummary?.BillingMode,
      indexes: (Table?.LocalSecondaryIndexes ?? []).flatMap(({ IndexName }) => IndexName ?? []).sort(),
      itemCount: Table?.ItemCount,
      sizeBytes: Table?.TableSizeBytes,
    };
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return { table: client.table, exists: false };
    throw translate(error, signal);
  }
}

const wholeOf = (value: unknown): number | undefined => (Number.isInteger(value) ? Number(value) : undefined);
