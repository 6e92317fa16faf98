import { CsvError, parse } from 'csv-parse/sync';
import type { InventoryItem } from '../domain/inventory.ts';

/** What a file to import holds, or what is wrong with it, a sentence each. */
export type ReadRows = { items: InventoryItem[]; problems: [] } | { items: []; problems: string[] };

/** More would be no seed of one pool. */
const MAX_ROWS = 100_000;

const NO_CONTROLS = /^\P{Cc}*$/u;
const FIELDS = [
  ['sandbox_id', /^[A-Za-z0-9._:@-]{1,128}$/, '1 to 128 of A-Z a-z 0-9 . _ : @ -'],
  ['name', /^\P{Cc}{1,128}$/u, '1 to 128 characters, none of them a control character'],
  ['external_id', /^\P{Cc}{1,512}$/u, '1 to 512 characters, none of them a control character'],
] as const;
const MAX_ACCOUNT = 128;

interface Row {
  /** Where it stands in the file, such as `line 3`. */
  place: string;
  record: Record<string, unknown>;
}

/**
 * Reads sandboxes from CSV with a line of names, or from JSON: an array, or an object with `sandboxes` as `export` writes
 * it. Needed: `sandbox_id`, `name`, `external_id`; optional: `sfdc_account_id`, and `status`, which must then be
 * `available`: what somebody holds cannot be brought in as free. Other fields are left aside.
 */
export function readRows(text: string, format: 'csv' | 'json'): ReadRows {
  const rows = format === 'csv' ? readCsv(text) : readJson(text);
  if (typeof rows === 'string') return { items: [], problems: [rows] };
  if (rows.length > MAX_ROWS)
    return { items: [], problems: [`It has ${rows.length} rows; ${MAX_ROWS} at most.`] };
  const problems: string[] = [];
  const places = new Map<string, string>();
  const items = rows.map(({ place, record }) => {
    const found = problemsOf(record);
    const id = String(record['sandbox_id']);
    const first = places.get(id);
    if (found.length === 0 && first !== undefined) found.push(`sandbox_id is the same as in ${first}`);
    places.set(id, first ?? place);
    problems.push(...found.map((problem) => `${place}: ${problem}`));
    return toItem(record);
  });
  return problems.length > 0 ? { items: [], problems } : { items, problems: [] };
}

function readCsv(text: string): Row[] | string {
  try {
    const rows = parse(text, { bom: true, columns: true, info: true, skip_empty_lines: true, trim: true });
    return (rows as unknown as { record: Record<string, unknown>; info: { lines: number } }[]).map(
      ({ record, info }) => ({ place: `line ${info.lines}`, record }),
    );
  } catch (error) {
    if (error instanceof CsvError) return `It is no valid CSV: ${error.message}.`;
    throw error;
  }
}

function readJson(text: string): Row[] | string {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    return 'It is no valid JSON.';
  }
  const list: unknown =
    typeof value === 'object' && value !== null && 'sandboxes' in value ? value.sandboxes : value;
  if (!Array.isArray(list))
    return 'It must be an array of sandboxes, or an object with one under "sandboxes".';
  return list.map((entry: unknown, index) => ({
    place: `entry ${index + 1}`,
    record: typeof entry === 'object' && entry !== null ? Object.fromEntries(Object.entries(entry)) : {},
  }));
}

function problemsOf(record: Row['record']): string[] {
  const problems: string[] = FIELDS.flatMap(([name, pattern, allowed]) => {
    const value = record[name];
    if (value === undefined || value === '') return [`${name} is missing`];
    return typeof value === 'string' && pattern.test(value) ? [] : [`${name} must be ${allowed}`];
  });
  const { sfdc_account_id: account, status } = record;
  if (
    !isAbsent(account) &&
    !(typeof account === 'string' && account.length <= MAX_ACCOUNT && NO_CONTROLS.test(account))
  ) {
    problems.push(
      `sfdc_account_id must be at most ${MAX_ACCOUNT} characters, none of them a control character`,
    );
  }
  if (!isAbsent(status) && status !== 'available') {
    problems.push(`status is ${JSON.stringify(status)}: only what is available can be imported`);
  }
  return problems;
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === '';

function toItem({ sandbox_id, name, external_id, sfdc_account_id }: Row['record']): InventoryItem {
  return {
    sandboxId: String(sandbox_id),
    name: String(name),
    externalId: String(external_id),
    metadata: isAbsent(sfdc_account_id) ? {} : { sfdc_account_id: String(sfdc_account_id) },
  };
}
