import { expect, it, onTestFinished } from 'vitest';
import { createSimulatedProvider } from '../../src/provider/simulated.ts';
import { context, HOUR_SECONDS, startCore, type TestCore } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

type Progress = { done: number; total: number } | undefined;

describeOnFastEngine('a run tells how far it has come', ({ endpoint }) => {
  async function coreOf(poolSize: number): Promise<TestCore> {
    const core = await startCore(endpoint, { buckets: 4, provider: createSimulatedProvider({ poolSize }) });
    onTestFinished(() => core.close());
    return core;
  }

  it('when it takes over an inventory, which it may find unchanged', async () => {
    const core = await coreOf(700);
    const steps: Progress[] = [];
    const sync = () => core.work.sync({ force: false }, context(), (step) => steps.push(step));
    await sync();
    expect(steps.filter((step) => step !== undefined)).toEqual([
      { done: 330, total: 700 },
      { done: 660, total: 700 },
      { done: 700, total: 700 },
    ]);
    steps.length = 0;
    await sync();
    expect(steps.filter((step) => step !== undefined)).toEqual([]);
  });

  it('when it cleans up', async () => {
    const core = await coreOf(5);
    await core.work.sync({ force: false }, context());
    for (const holder of ['a', 'b', 'c']) {
      await core.useCases.allocateSandbox({ principal: 'track', holder }, context());
    }
    core.clock.advanceSeconds(5 * HOUR_SECONDS);
    await core.work.expire(context());
    const steps: Progress[] = [];
    await core.work.cleanup(context(), (step) => steps.push(step));
    expect(steps.filter((step) => step !== undefined)).toEqual([
      { done: 0, total: 3 },
      { done: 1, total: 3 },
      { done: 2, total: 3 },
      { done: 3, total: 3 },
    ]);
  });
});
