import pLimit from 'p-limit';
import type { Clock, NewId } from '../clock.ts';
import { eventOf } from '../domain/event.ts';
import type { LeaseTerms } from '../domain/lease.ts';
import { type OldRecord, translate } from '../domain/old-record.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { OldEntry } from '../store/old-table.ts';
import type { KeyRecord } from '../store/sandboxes/idempotency.ts';
import type { SandboxImports } from '../store/sandboxes/imports.ts';
import { keyRecordOf } from './leases/key-record.ts';

export interface MigrateTableDeps {
  entries: (signal: AbortSignal) => AsyncIterable<OldEntry[]>;
  imports: SandboxImports;
  keyPkOf: (holder: string) => string;
  clock: Clock;
  newId: NewId;
  terms: LeaseTerms;
}

/** What became of the old table's sandboxes. */
export interface MigrationReport {
  /** All that were read. */
  read: number;
  /** Copied, or in a dry run: would be. By status. */
  copied: Record<string, number>;
  /** There already, in the same status: of an earlier run. */
  there: number;
  /** Not copied, or not as they were; somebody has to look. */
  problems: { id: string; problem: string }[];
}

const AT_ONCE = 16;
const ACTION = 'migrated';
const ACTOR = 'migration';

/**
 * Copies every sandbox of the old table that is not in the new one. It may be interrupted and run again at any time;
 * without `apply` nothing is written.
 */
export function migrateTable(deps: MigrateTableDeps) {
  const { imports, clock, newId, terms, keyPkOf } = deps;

  return async (input: { apply: boolean }, signal: AbortSignal): Promise<MigrationReport> => {
    const report: MigrationReport = { read: 0, copied: {}, there: 0, problems: [] };
    const runId = newId();
    const limit = pLimit(AT_ONCE);

    const copy = async (record: OldRecord): Promise<void> => {
      const nowMs = clock.nowMs();
      const translated = translate(record, { nowMs, terms, leaseId: newId(), keyPkOf });
      const id = record.sandboxId;
      if ('problem' in translated) return void report.problems.push({ id, problem: translated.problem });
      const { sandbox } = translated;
      const by = { actor: ACTOR, requestId: runId, correlationId: runId };
      const event = eventOf(undefined, sandbox, ACTION, by);
      const outcome = input.apply
        ? await imports.write({ sandbox, event, key: keyOf(sandbox, newId()) }, nowMs, signal)
        : await wouldBe(imports, sandbox, signal);
      if (outcome.type === 'exists') {
        if (outcome.sandbox.status === sandbox.status) report.there++;
        else report.problems.push({ id, problem: differs(sandbox, outcome.sandbox) });
        return;
      }
      report.copied[sandbox.status] = (report.copied[sandbox.status] ?? 0) + 1;
      if (outcome.type === 'key_taken') {
        const problem = 'is a second one of its holder, who is answered with the first';
        report.problems.push({ id, problem });
      }
    };

    for await (const page of deps.entries(signal)) {
      report.read += page.length;
      for (const entry of page) if ('problem' in entry) report.problems.push(entry);
      const readable = page.flatMap((entry) => ('record' in entry ? [entry.record] : []));
      await Promise.all(readable.map((record) => limit(() => copy(record))));
    }
    return report;
  };
}

async function wouldBe(imports: SandboxImports, { id }: Sandbox, signal: AbortSignal) {
  const sandbox = await imports.find(id, signal);
  return sandbox ? ({ type: 'exists', sandbox } as const) : ({ type: 'written' } as const);
}

const differs = (old: Sandbox, found: Sandbox): string =>
  `is ${old.status} in the old table and ${found.status} in the new one, where it stays so`;

/** What answers the holder who asks again; a lease that has ended needs none. */
const keyOf = (sandbox: Sandbox, attempt: string): KeyRecord | undefined =>
  // The key is the holder itself, and what that one asked for does not matter then.
  sandbox.status === 'allocated' ? keyRecordOf(sandbox, { requestHash: ACTION, attempt }) : undefined;
