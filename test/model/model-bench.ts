import { CreateTableCommand, DeleteTableCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { InventoryItem } from '../../src/domain/inventory.ts';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { toSandbox } from '../../src/store/sandboxes/items.ts';
import { tableDefinition } from '../../src/store/table.ts';
import { LOCAL_CREDENTIALS, uniqueTable } from '../support/broker/core.ts';
import { readTable } from '../support/store/table-audit.ts';
import type { SendToEngine } from './replica.ts';
import { createWire } from './wire.ts';

/** The engine that programs run on, each on a table of its own, and a direct look at what it has. */
export interface Bench {
  readonly raw: DynamoDBClient;
  send: SendToEngine;
  createTable(): Promise<string>;
  dropTable(table: string): Promise<void>;
  recordOf(table: string, sandboxId: string): Promise<Sandbox | undefined>;
  /** Ids of the sandboxes that wait for an operator. */
  parked(table: string): Promise<string[]>;
  /** Ids of the sandboxes that are in quarantine, or will be after their leases. */
  quarantined(table: string): Promise<string[]>;
  /** What is not yet as it has to be when all is over: what the provider lists is free, what it does not is gone. */
  unsettled(table: string, inventory: ReadonlyMap<string, InventoryItem>): Promise<string[]>;
  /** Told of everything that happens, for looking into a run. */
  onTrace?: ((line: string) => void) | undefined;
  close(): Promise<void>;
}

export function createBench(endpoint: string, onTrace?: (line: string) => void): Bench {
  const { raw, close } = createStoreClient({
    endpoint,
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
    table: 'none',
  });

  const wire = createWire(endpoint);

  async function recordsOf(table: string): Promise<Sandbox[]> {
    const items = await readTable({ table, raw });
    return items.filter(({ pk }) => String(pk).startsWith('B#')).map(toSandbox);
  }

  return {
    raw,
    send: wire.send,
    async createTable() {
      const table = uniqueTable();
      await raw.send(new CreateTableCommand(tableDefinition(table)));
      return table;
    },
    async dropTable(table) {
      await raw.send(new DeleteTableCommand({ TableName: table }));
    },
    recordOf: async (table, sandboxId) => (await recordsOf(table)).find(({ id }) => id === sandboxId),
    parked: async (table) =>
      (await recordsOf(table)).flatMap((record) =>
        record.status === 'deletion_failed' && record.cleanup.dueMs === undefined ? [record.id] : [],
      ),
    quarantined: async (table) =>
      (await recordsOf(table)).flatMap((record) => ('quarantine' in record ? [record.id] : [])),
    async unsettled(table, inventory) {
      const records = new Map((await recordsOf(table)).map((record) => [record.id, record]));
      const listed = [...inventory.values()].flatMap(({ sandboxId, name }) => {
        const record = records.get(sandboxId);
        if (record?.status === 'available' && record.name === name) return [];
        return [`${sandboxId} is listed as ${name}, and its record is ${record?.status} as ${record?.name}`];
      });
      const others = [...records.values()].flatMap(({ id, status }) =>
        inventory.has(id) || status === 'stale' || status === 'deleted'
          ? []
          : [`${id} is not listed any more, and its record is ${status}`],
      );
      return [...listed, ...others];
    },
    onTrace,
    async close() {
      close();
      await wire.close();
    },
  };
}
