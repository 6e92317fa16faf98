import { describe, expect, test } from 'vitest';
import { ACTIONS as BROKERS, RESOURCE_OF, type Resource } from '../../../src/domain/resilience/action.ts';
import { type Breaker, createBreaker } from '../../../src/safety/breaker/breaker.ts';
import { createDryRunLock, type DryRunOptions } from '../../../src/safety/dry-run/dry-run.ts';
import type { SideEffects } from '../../../src/safety/effects/side-effects.ts';
import { irreversibleAdapter } from '../../../src/safety/guard/adapter.ts';
import { createGuard, type GuardedAction, type GuardOptions } from '../../../src/safety/guard/guard.ts';
import type { Verdict } from '../../../src/safety/quota/governor.ts';
import { redaction } from '../../../src/safety/redacted.ts';
import type { Retry } from '../../../src/safety/retry/retry.ts';
import { createFakeClock } from '../../support/broker/core.ts';

/** What the broker does, and what a program with reversible actions of its own has beside it. */
const ACTIONS = { ...BROKERS, book: 'reversible', rename: 'reversible' } as const;
type Action = keyof typeof ACTIONS;

const signal = new AbortController().signal;
const DELETE: GuardedAction<Action, Resource> = {
  action: 'csp_delete',
  entity: 'sbx-1',
  generation: 7,
  task: 'csp_delete',
  args: { sandbox_id: 'sbx-1', api_key: 'hidden' },
};

/** A guard whose parts say in which order they were passed. */
function trace(
  options: Partial<GuardOptions<Action, Resource>> & {
    lock?: Partial<DryRunOptions<Action>>;
    verdict?: Verdict;
  } = {},
  steps: string[] = [],
) {
  const dryRun = createDryRunLock<Action>({
    actions: ACTIONS,
    clock: createFakeClock(),
    redact: redaction(),
    enabled: false,
    ...options.lock,
  });
  const verdict = options.verdict ?? { allowed: true };
  const guard = createGuard<Action, Resource>({
    resourceOf: { ...RESOURCE_OF, book: 'allocate' },
    governor: {
      take: async (resource, key) => {
        steps.push(`take ${resource}${key === undefined ? '' : ` of ${key}`}`);
        return verdict;
      },
      check: (resource) => {
        steps.push(`check ${resource}`);
        return verdict;
      },
    },
    dryRun: {
      isIrreversible: dryRun.isIrreversible,
      blocks: dryRun.blocks,
      record: (entry) => {
        steps.push(entry.status);
        dryRun.record(entry);
      },
    },
    ...options,
  });
  const call = async () => {
    steps.push('call');
    return 'destroyed';
  };
  return { guard, steps, dryRun, call };
}

const effects = (steps: string[]): SideEffects<Action> => ({
  async once(key, run, { signal: inner = signal } = {}) {
    steps.push(`effect ${key.type} ${key.entity} ${key.generation}`);
    return { result: await run(inner, () => undefined), replayed: false };
  },
});
const retry = (steps: string[]): Retry => ({
  run(task, attempt, { signal: inner = signal } = {}) {
    steps.push(`retry ${task}`);
    return attempt(1, inner);
  },
});
const breaker = (steps: string[]): Breaker => ({
  ...createBreaker({ name: 'csp_delete', clock: createFakeClock() }),
  execute(call, inner = signal) {
    steps.push('breaker');
    return call(inner);
  },
});

describe('the guard', () => {
  test('passes governor, dry-run lock, effect record, breaker and retry, in this order, before the call', async () => {
    const steps: string[] = [];
    const { guard, call } = trace({ effects: effects(steps), retry: retry(steps) }, steps);
    const done = await guard.run(DELETE, call, { signal, breaker: breaker(steps) });
    expect(done).toEqual({ outcome: 'executed', result: 'destroyed' });
    expect(steps).toEqual([
      'take csp_delete',
      'effect csp_delete sbx-1 7',
      'breaker',
      'retry csp_delete',
      'call',
      'executed',
    ]);
  });

  test('does without what there is not', async () => {
    const { guard, steps, call } = trace();
    await guard.run(DELETE, call, { signal });
    expect(steps).toEqual(['take csp_delete', 'call', 'executed']);
  });

  test('calls nothing when the quota is used up, and says when to come back', async () => {
    const { guard, steps, call, dryRun } = trace({ verdict: { allowed: false, retryAfterSeconds: 12 } });
    expect(await guard.run(DELETE, call, { signal })).toEqual({ outcome: 'later', retryAfterSeconds: 12 });
    expect(steps).toEqual(['take csp_delete']);
    expect(dryRun.log()).toEqual([]);
  });

  test('in a dry run calls nothing, uses nothing up, and remembers what was asked for', async () => {
    const { guard, steps, call, dryRun } = trace({ lock: { enabled: true } });
    expect(await guard.run(DELETE, call, { signal })).toEqual({
      outcome: 'dry_run',
      action: 'csp_delete',
      result: null,
    });
    expect(steps).toEqual(['check csp_delete', 'dry_run_blocked']);
    expect(dryRun.log()).toMatchObject([
      {
        action: 'csp_delete',
        status: 'dry_run_blocked',
        args: { sandbox_id: 'sbx-1', api_key: '[redacted]' },
      },
    ]);
  });

  test('in a dry run the governor still comes first', async () => {
    const verdict: Verdict = { allowed: false, retryAfterSeconds: 3 };
    const { guard, steps, call } = trace({ lock: { enabled: true }, verdict });
    expect(await guard.run(DELETE, call, { signal })).toMatchObject({ outcome: 'later' });
    expect(steps).toEqual(['check csp_delete']);
  });

  test('remembers an error and throws it as it is', async () => {
    const { guard, dryRun } = trace();
    const error = new Error('the provider said no');
    await expect(guard.run(DELETE, () => Promise.reject(error), { signal })).rejects.toBe(error);
    expect(dryRun.log()).toMatchObject([{ action: 'csp_delete', status: 'error' }]);
  });

  test('remembers a failure that the work has dealt with by itself as what it is', async () => {
    const { guard, dryRun, call } = trace();
    expect(await guard.run(DELETE, call, { signal, logAs: () => 'error' })).toMatchObject({
      outcome: 'executed',
    });
    await guard.run(DELETE, call, { signal, logAs: () => undefined });
    expect(dryRun.log()).toMatchObject([{ status: 'error' }]);
  });

  test('an open breaker means later', async () => {
    const { guard, call, dryRun, steps } = trace();
    const open = createBreaker({
      name: 'webhook',
      clock: createFakeClock(),
      rules: { recovery: { kind: 'automatic', afterMs: 60_000 } },
    });
    await open.override('open', 60_000);
    const done = await guard.run({ ...DELETE, action: 'external_call' }, call, { signal, breaker: open });
    expect(done).toEqual({ outcome: 'later', retryAfterSeconds: 60 });
    expect(steps).toEqual([]);
    expect(dryRun.log()).toEqual([]);
  });

  test('fails closed: what the governor cannot say is not done', async () => {
    const unavailable = new Error('store away');
    const { guard, steps, call } = trace({
      governor: { take: () => Promise.reject(unavailable), check: () => ({ allowed: true }) },
    });
    await expect(guard.run(DELETE, call, { signal })).rejects.toBe(unavailable);
    expect(steps).toEqual([]);
  });

  test('keeps no record of what can be undone, and does not hold it back', async () => {
    const steps: string[] = [];
    const { guard, call, dryRun } = trace({
      lock: { enabled: true },
      effects: effects(steps),
      retry: retry(steps),
    });
    const done = await guard.run({ ...DELETE, action: 'rename' }, call, { signal });
    expect(done).toMatchObject({ outcome: 'executed' });
    expect([dryRun.log(), steps]).toEqual([[], []]);
  });

  test('takes the quota its caller names, for whom it names', async () => {
    const { guard, steps, call } = trace();
    await guard.run({ ...DELETE, action: 'external_call', resource: 'bulk_delete', key: 'a' }, call, {
      signal,
    });
    expect(steps[0]).toBe('take bulk_delete of a');
  });
});

describe('an adapter', () => {
  /** Stands for any operation of the broker: it has its own arguments and knows nothing of guards. */
  const operationOf = () => {
    const calls: unknown[][] = [];
    const operation = async (id: string, how: { fast: boolean }): Promise<{ id: string }> => {
      calls.push([id, how]);
      return { id };
    };
    return { calls, operation };
  };
  const describeIt = (id: string, how: { fast: boolean }) => ({
    entity: id,
    generation: 1,
    args: { fast: how.fast },
    signal,
  });

  test('is for what cannot be undone, and has to be known', () => {
    const { guard } = trace();
    expect(() => irreversibleAdapter(guard, 'book')).toThrow('book can be undone');
    // @ts-expect-error Nobody has classified it.
    expect(() => irreversibleAdapter(guard, 'format_disk')).toThrow('there is no action format_disk');
  });

  test('for a delete at the provider tells what became of it', async () => {
    const { operation, calls } = operationOf();
    const how = { fast: false };
    const executed = irreversibleAdapter(trace().guard, 'csp_delete')(operation, describeIt);
    expect(await executed('sbx-1', how)).toEqual({ outcome: 'executed', result: { id: 'sbx-1' } });
    expect(calls).toHaveLength(1);

    const locked = trace({ lock: { enabled: true } });
    const held = irreversibleAdapter(locked.guard, 'csp_delete')(operation, describeIt);
    expect(await held('sbx-1', how)).toEqual({ outcome: 'dry_run', action: 'csp_delete', result: null });
    expect(calls).toHaveLength(1);
    expect(locked.dryRun.log()).toMatchObject([{ action: 'csp_delete', args: { fast: false } }]);
  });
});
