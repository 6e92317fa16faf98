import { randomUUID } from 'node:crypto';
import { systemClock } from '../clock.ts';
import { type Config, loadConfig } from '../config/index.ts';
import { TRACK_PRINCIPAL } from '../domain/lease.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { readOldTable } from '../store/old-table.ts';
import { createImports } from '../store/sandboxes/imports.ts';
import { idempotencyPk } from '../store/sandboxes/keys.ts';
import { noteStocked } from '../store/shared/stock.ts';
import { openTable } from '../store/table.ts';
import { type MigrationReport, migrateTable } from '../usecases/migrate-table.ts';
import { openStore } from './store.ts';

export interface MigrationOptions {
  /** `dynamodb://<region>` or `http(s)://[key:secret@]host:port`. */
  from: string;
  fromTable: string;
  to: string;
  toTable: string;
  /** As the new broker's DDB_BUCKETS, LAB_DURATION_HOURS and EXPIRY_BUFFER_HOURS; its defaults where they are absent. */
  buckets?: string | undefined;
  labDurationHours?: string | undefined;
  expiryBufferHours?: string | undefined;
  /** Without it nothing is written. */
  apply: boolean;
  signal: AbortSignal;
}

/** Copies the Python broker's table into this one's. Throws `ConfigError` for an option that makes no
 * sense, `RangeError` for a store that cannot take part, and `TableError` for a table that is not as it should be. */
export async function composeMigration(options: MigrationOptions): Promise<MigrationReport> {
  const { apply, signal } = options;
  const source = open({ SANDBOX_DB_URL: options.from, DDB_TABLE_NAME: options.fromTable });
  try {
    const target = open({
      DDB_BUCKETS: options.buckets,
      LAB_DURATION_HOURS: options.labDurationHours,
      EXPIRY_BUFFER_HOURS: options.expiryBufferHours,
      SANDBOX_DB_URL: options.to,
      DDB_TABLE_NAME: options.toTable,
    });
    try {
      const { buckets, leaseSeconds, bufferSeconds } = target.config;
      // It writes down the layout of a table that has none.
      if (apply) await openTable(target.client, { buckets, create: false }, signal);
      const clock = trustedClock(systemClock, target.client);
      const report = await migrateTable({
        entries: (signal) => readOldTable(source.client, signal),
        imports: createImports(target.client, buckets, randomUUID),
        keyPkOf: (holder) => idempotencyPk(TRACK_PRINCIPAL, holder, holder),
        clock,
        newId: randomUUID,
        terms: { leaseSeconds, bufferSeconds },
      })({ apply }, signal);
      if (apply) await noteStocked(target.client, clock.nowMs(), signal);
      return report;
    } finally {
      target.client.close();
    }
  } finally {
    source.client.close();
  }
}

function open(env: Record<string, string | undefined>) {
  const config: Config = loadConfig(env);
  if (config.store.kind === 'embedded') {
    throw new RangeError('A migration is between endpoints or AWS: an embedded file is the broker’s own.');
  }
  return { config, client: openStore(config, undefined, ignore, ignore) };
}

const ignore = (): void => undefined;
