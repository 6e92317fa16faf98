import { describe, expect, it } from 'vitest';
import type { RunOutcome } from '../../src/domain/run-outcome.ts';
import { createRunMemory } from '../../src/loops/run-memory.ts';
import { createFakeClock } from '../support/broker/core.ts';

function setUp({ hasOthers = false } = {}) {
  const clock = createFakeClock();
  const memory = createRunMemory(clock, () => hasOthers);
  const note = (outcome: RunOutcome, counts = {}) =>
    memory.note({ loop: 'cleanup', outcome, durationMs: 5, counts });
  return { clock, memory, note };
}

describe('what a replica remembers of a loop', () => {
  it('is nothing before the first run', () => {
    expect(setUp().memory.of('cleanup')).toEqual({ recent: { runs: 0, withFailures: 0 } });
  });

  it('has failures though the run came to its end', () => {
    const { memory, note } = setUp();
    note('partial', { deleted: 34, failed: 6 });
    expect(memory.of('cleanup')).toMatchObject({
      run: { outcome: 'partial', counts: { failed: 6 } },
      recent: { runs: 1, withFailures: 1 },
    });
    for (const outcome of ['success', 'error', 'refused', 'success'] as const) note(outcome);
    expect(memory.of('cleanup').recent).toEqual({ runs: 5, withFailures: 3 });
    for (let n = 0; n < 10; n++) note('success', { failed: 0 });
    expect(memory.of('cleanup').recent).toEqual({ runs: 10, withFailures: 0 });
  });

  it('speaks of another replica where there is one only', () => {
    const alone = setUp();
    alone.note('success');
    alone.note('skipped');
    expect(alone.memory.of('cleanup')).not.toHaveProperty('leftToOthersAtMs');
    const together = setUp({ hasOthers: true });
    together.note('success');
    together.clock.advanceSeconds(5);
    together.note('skipped');
    expect(together.memory.of('cleanup')).toMatchObject({
      run: { outcome: 'success' },
      leftToOthersAtMs: together.clock.nowMs(),
    });
  });

  it('calls a loop failed until it succeeds, here or elsewhere', () => {
    const { memory, note } = setUp({ hasOthers: true });
    note('error');
    expect(memory.failed()).toEqual([{ loop: 'cleanup', isPartial: false }]);
    note('partial', { failed: 1 });
    expect(memory.failed()).toEqual([{ loop: 'cleanup', isPartial: true }]);
    note('skipped');
    expect(memory.failed()).toEqual([]);
    note('error');
    note('success');
    expect(memory.failed()).toEqual([]);
  });
});
