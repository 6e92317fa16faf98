import type { z } from 'zod';
import type { ExportFormat } from '../api/requests.ts';
import { type recordSchema, sandboxRecord } from '../api/sandboxes.ts';
import type { Sandbox } from '../domain/sandbox.ts';

type Row = z.output<typeof recordSchema>;

const COLUMNS = [
  'sandbox_id',
  'name',
  'external_id',
  'sfdc_account_id',
  'status',
  'allocated_to_track',
  'track_name',
  'allocated_at',
  'expires_at',
  'reclaim_at',
  'deletion_requested_at',
  'deletion_retry_count',
  'deletion_error',
  'deletion_due_at',
  'stale_since',
  'deleted_at',
  'deletion_reason',
  'created_at',
  'updated_at',
  'lease_id',
] as const satisfies (keyof Row)[];

/** Sandboxes as a text, a piece for each page and a line for each sandbox; JSON is whole only at its end. */
export async function* exportText(
  pages: AsyncIterable<readonly Sandbox[]>,
  format: ExportFormat,
): AsyncGenerator<string, void, void> {
  const isCsv = format === 'csv';
  let count = 0;
  yield isCsv ? `${COLUMNS.join(',')}\n` : '{"sandboxes":[';
  for await (const page of pages) {
    if (page.length === 0) continue;
    const rows = page.map(sandboxRecord);
    yield isCsv
      ? rows.map((row) => `${csvLine(row)}\n`).join('')
      : `${count === 0 ? '' : ','}\n${rows.map((row) => JSON.stringify(row)).join(',\n')}`;
    count += rows.length;
  }
  if (!isCsv) yield `\n],"count":${count}}\n`;
}

const csvLine = (row: Row): string => COLUMNS.map((column) => csvCell(row[column])).join(',');

/** As RFC 4180 has it. */
function csvCell(value: string | number | undefined): string {
  const text = String(value ?? '');
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
