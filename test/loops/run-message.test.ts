import { describe, expect, test } from 'vitest';
import { RUN_OUTCOMES } from '../../src/domain/run-outcome.ts';
import { runMessage } from '../../src/loops/run-message.ts';
import { tellRuns } from '../../src/loops/tell-runs.ts';
import { LOOPS } from '../../src/telemetry/metric-labels.ts';

describe('the message of a run', () => {
  test.each([
    ['sync', { listed: 15, created: 0, stale: 2 }, 'Synced 15 sandboxes, marked 2 as stale'],
    ['sync', { listed: 1 }, 'Synced 1 sandbox'],
    [
      'cleanup',
      { due: 6, deleted: 3, recycled: 2, failed: 1, parked: 1 },
      'Cleaned up 6 sandboxes that were due, deleted 3, recycled 2, failed to delete 1, parked 1 for an operator',
    ],
    [
      'cleanup',
      { due: 1, dry_run_blocked: 1 },
      'Cleaned up 1 sandbox that was due, held 1 back in a dry run',
    ],
    ['expiry', { overdue: 2, marked: 2 }, 'Found 2 leases past their time, took 2 back'],
    ['purge', { deleted: 1, skipped: 3 }, 'Removed 1 record, left 3 alone'],
    ['counts', { available: 3, allocated: 1, stale: 0 }, 'Counted 4 sandboxes, 3 available, 1 allocated'],
  ])('%s %j', (loop, counts, message) => {
    expect(runMessage({ loop, outcome: 'success', counts })).toBe(message);
  });

  test('is there for every loop, however a run ended', () => {
    for (const loop of LOOPS) {
      for (const outcome of RUN_OUTCOMES) {
        const message = runMessage({ loop, outcome });
        expect(message, `${loop} ${outcome}`).toMatch(/^[A-Z][^.]+$/);
        expect(message).not.toContain('is done');
      }
    }
    const counts = { listed: 3, stale_refused: 9 };
    expect(runMessage({ loop: 'sync', outcome: 'refused', counts })).toBe(
      'Synced 3 sandboxes, refused to mark 9 as stale',
    );
    expect(runMessage({ loop: 'expiry', outcome: 'aborted', counts: { overdue: 1, marked: 1 } })).toBe(
      'Told to stop: Found 1 lease past its time, took 1 back',
    );
  });

  test('stands beside the fields in the line', () => {
    const lines: [object, string][] = [];
    const log = (fields: object, text: string) => void lines.push([fields, text]);
    const tell = tellRuns({
      memory: { note: () => undefined },
      metrics: { loopRun: () => undefined },
      logger: { debug: log, info: log, warn: log, error: log },
    });
    const counts = { listed: 15, stale: 2 };
    tell({ loop: 'sync', action: 'background_sync', outcome: 'success', durationMs: 7, counts });
    expect(lines).toEqual([
      [
        {
          action: 'background_sync',
          outcome: 'success',
          latency_ms: 7,
          ...counts,
          message: 'Synced 15 sandboxes, marked 2 as stale',
        },
        'sync: success',
      ],
    ]);
  });
});
