import { setTimeout as delay } from 'node:timers/promises';
import { openListing } from '../../../src/domain/listed.ts';
import { createSimulatedProvider } from '../../../src/provider/simulated.ts';
import { startEngine } from '../../../src/store/engine/engine.ts';
import {
  context,
  createFakeClock,
  HOUR_SECONDS,
  startCore,
  type TestCore,
} from '../../support/broker/core.ts';
import { type Cost, type Meter, startMeter } from './meter.ts';

/** What one step of a lease costs, on the mean. */
export interface StepCost {
  step: string;
  calls: number;
  writes: number;
  indexesDoubled: number;
  bucketWrites: number;
  reads: number;
}

/** Lives that were measured together, step by step; `total`: from the allocation to the sandbox that is free again. */
export interface LifeCost {
  life: string;
  steps: StepCost[];
  total: StepCost;
}

const LONG_NAME = 200;
/** From then on an empty line is known to be one. */
const LINE_SETTLED_MS = 1_200;
/** Times have as many digits as they usually have: a zero at the end takes no room. */
const SOME_TIME_MS = 1_893_456_789_123;

/** What the life of a lease costs, in some of the ways it may go. */
export async function lifeCosts(together: number): Promise<LifeCost[]> {
  const engine = await startEngine({ file: undefined });
  const meter = await startMeter(engine.endpoint);
  try {
    return [
      await live('given back, cleaned alone', meter, { leases: 1, end: 'mark' }),
      await live(`given back, cleaned with ${together} others`, meter, { leases: together, end: 'mark' }),
      await live(`run out, cleaned with ${together} others`, meter, { leases: together, end: 'expire' }),
      await live('under a key of its own', meter, { leases: 1, end: 'mark', hasOwnKey: true }),
      await live(`a sandbox with a name of ${LONG_NAME} letters`, meter, {
        leases: 1,
        end: 'mark',
        isLong: true,
      }),
    ];
  } finally {
    await meter.close();
    await engine.stop();
  }
}

interface Life {
  leases: number;
  end: 'mark' | 'expire';
  hasOwnKey?: boolean;
  /** The sandboxes' names are as long as names are. */
  isLong?: boolean;
}

async function live(life: string, meter: Meter, options: Life): Promise<LifeCost> {
  const poolSize = options.leases + 1;
  const core = await startCore(meter.endpoint, {
    poolSize,
    clock: createFakeClock(SOME_TIME_MS),
    ...(options.isLong && { provider: withLongNames(poolSize) }),
  });
  try {
    return await liveOn(core, life, meter, options);
  } finally {
    core.close();
  }
}

async function liveOn(
  core: TestCore,
  life: string,
  meter: Meter,
  { leases, end, hasOwnKey = false }: Life,
): Promise<LifeCost> {
  await core.readyList.refresh();
  // The first of its kind makes what all others share: the state of the line, the window of a quota.
  await liveOnce(core, 'first');
  await delay(LINE_SETTLED_MS);
  await core.readyList.refresh();
  const steps: StepCost[] = [];
  const step = async (name: string, work: () => Promise<unknown>) => {
    meter.reset();
    await work();
    steps.push(toStep(name, meter.cost, leases));
  };

  const holders = Array.from({ length: leases }, (_, index) => `student-${index}`);
  const held: { holder: string; sandboxId: string }[] = [];
  await step('allocation', async () => {
    for (const each of holders) {
      const input = { principal: 'track', holder: each, ...(hasOwnKey && { idempotencyKey: `${each}-key` }) };
      const { lease } = await core.useCases.allocateSandbox(input, context());
      held.push({ holder: each, sandboxId: lease.sandboxId });
    }
  });
  if (end === 'mark') {
    await step('mark', async () => {
      for (const each of held) await core.useCases.markForDeletion(each, context());
    });
  } else {
    core.clock.advanceSeconds(5 * HOUR_SECONDS);
    await step('expiry', () => core.work.expire(context('auto_expiry')));
  }
  await step('cleanup', () => core.work.cleanup(context('background_cleanup')));
  return { life, steps, total: sum(steps) };
}

async function liveOnce(core: TestCore, holder: string): Promise<void> {
  const { lease } = await core.useCases.allocateSandbox({ principal: 'track', holder }, context());
  await core.useCases.markForDeletion({ holder, sandboxId: lease.sandboxId }, context());
  await core.work.cleanup(context('background_cleanup'));
}

const toStep = (step: string, cost: Cost, leases: number): StepCost => ({
  step,
  calls: cost.calls / leases,
  writes: cost.writes / leases,
  indexesDoubled: cost.indexesDoubled / leases,
  bucketWrites: cost.bucketWrites / leases,
  reads: cost.reads / leases,
});

const sum = (steps: readonly StepCost[]): StepCost => {
  const add = (what: Exclude<keyof StepCost, 'step'>) => steps.reduce((total, step) => total + step[what], 0);
  return {
    step: 'a life',
    calls: add('calls'),
    writes: add('writes'),
    indexesDoubled: add('indexesDoubled'),
    bucketWrites: add('bucketWrites'),
    reads: add('reads'),
  };
};

function withLongNames(poolSize: number) {
  const provider = createSimulatedProvider({ poolSize });
  return {
    ...provider,
    async listSandboxes(signal: AbortSignal) {
      const { items, invalid } = await provider.listSandboxes(signal);
      const renamed = Array.from(items, (item) => ({ ...item, name: item.name.padEnd(LONG_NAME, 'x') }));
      return { items: openListing(renamed), invalid };
    },
  };
}
