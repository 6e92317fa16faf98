import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createDryRunLock } from '../../../src/safety/dry-run/dry-run.ts';
import { createEffectsInMemory } from '../../../src/safety/effects/effects-in-memory.ts';
import { createSideEffects } from '../../../src/safety/effects/side-effects.ts';
import { createGuard } from '../../../src/safety/guard/guard.ts';
import { createRetry } from '../../../src/safety/retry/retry.ts';
import { createFakeClock } from '../../support/broker/core.ts';

const ACTION = 'external_call';

test('what cannot be undone is not attempted again after a wait that took longer than its time, by the wall clock', async () => {
  const clock = createFakeClock();
  const guard = createGuard<typeof ACTION, never>({
    governor: { take: async () => ({ allowed: true }), check: () => ({ allowed: true }) },
    dryRun: createDryRunLock({ actions: { [ACTION]: 'irreversible' }, enabled: false }),
    effects: createSideEffects({
      types: [ACTION],
      records: createEffectsInMemory({ clock, newId: randomUUID }),
    }),
    // A machine that is suspended while it waits for its second attempt.
    retry: createRetry({ wait: async () => clock.advanceSeconds(3_600) }),
  });
  let attempts = 0;
  const call = async () => {
    if (++attempts === 1) throw new Error('no answer');
    return 'sent';
  };
  const guarded = { action: ACTION, entity: 'alert-1', generation: 0, task: 'webhook' } as const;
  const { signal } = new AbortController();
  await expect(guard.run(guarded, call, { signal })).rejects.toMatchObject({ code: 'EFFECT_IN_PROGRESS' });
  expect(attempts).toBe(1);
  expect(await guard.run(guarded, call, { signal })).toEqual({ outcome: 'executed', result: 'sent' });
});
