import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { EffectOutcome, EffectRecords } from '../../../src/domain/resilience/effect.ts';
import { canonicalJson, type EffectKey, effectKey } from '../../../src/safety/effects/effect-key.ts';
import { createEffectsInMemory } from '../../../src/safety/effects/effects-in-memory.ts';
import { createSideEffects, type SideEffects } from '../../../src/safety/effects/side-effects.ts';
import { createEffectRecords } from '../../../src/store/shared/effects.ts';
import { createFakeClock, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { failWith, holdCalls, injectFaults, loseAnswer } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';

const key: EffectKey<'csp_delete'> = { type: 'csp_delete', entity: 'sim-0001', generation: 7 };
const signal = new AbortController().signal;
const connectionRefused = () => Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });

interface Replica {
  core: Pick<TestCore, 'clock'>;
  records: EffectRecords;
  effects: SideEffects<'csp_delete'>;
}
interface Stage extends Replica {
  outcomes: EffectOutcome[];
  replica: () => Promise<Replica>;
}

/** What every backing has to keep. */
function happensOnce(start: (waitMs?: number) => Promise<Stage>): void {
  it('happens once, and is answered with its result from then on', async () => {
    const { effects, outcomes } = await start();
    let runs = 0;
    const run = async () => ({ outcome: 'destroyed', run: ++runs });

    const first = await effects.once(key, run, { signal });
    const second = await effects.once(key, run, { signal });

    expect(first).toEqual({ result: { outcome: 'destroyed', run: 1 }, replayed: false });
    expect(second).toEqual({ result: { outcome: 'destroyed', run: 1 }, replayed: true });
    expect(outcomes).toEqual(['completed', 'replayed']);
  });

  it('of one who wakes up after its time does not happen: another may be at it', async () => {
    const { core, effects, replica } = await start();
    await expect(
      effects.once(key, () => Promise.reject(new Error('no answer')), {
        signal,
        mayHaveHappened: () => true,
      }),
    ).rejects.toThrow('no answer');
    core.clock.advanceSeconds(3_600);
    let runs = 0;
    const run = async () => ++runs;
    const ask = async () => {
      core.clock.advanceSeconds(3_600);
      return undefined;
    };
    await expect(effects.once(key, run, { signal, ask })).rejects.toMatchObject({
      code: 'EFFECT_IN_PROGRESS',
    });
    expect(runs).toBe(0);
    expect(await (await replica()).effects.once(key, run, { signal })).toEqual({
      result: 1,
      replayed: false,
    });
  });

  it('that may have happened is asked after by the next one, once the right to run is over', async () => {
    const { core, effects } = await start(1);
    const fails = () => Promise.reject(new Error('no answer'));
    await expect(effects.once(key, fails, { signal, mayHaveHappened: () => true })).rejects.toThrow(
      'no answer',
    );
    const ask = async () => 'gone';
    await expect(effects.once(key, fails, { signal, ask })).rejects.toMatchObject({
      code: 'EFFECT_IN_PROGRESS',
    });
    core.clock.advanceSeconds(61);
    expect(await effects.once(key, fails, { signal, ask })).toEqual({ result: 'gone', replayed: true });
  });

  it('happens once for ten who come at once over two replicas, and none gets an empty success', async () => {
    const { effects, replica } = await start();
    const other = (await replica()).effects;
    let runs = 0;
    const gate = Promise.withResolvers<void>();
    const run = async () => {
      runs++;
      await gate.promise;
      return 'destroyed';
    };

    const calls = Array.from({ length: 10 }, (_, index) =>
      (index % 2 ? effects : other).once(key, run, { signal }),
    );
    await until(() => runs > 0, { what: 'the effect to begin' });
    gate.resolve();
    const answers = await Promise.all(calls);

    expect(runs).toBe(1);
    expect(answers.map((answer) => answer.result)).toEqual(Array(10).fill('destroyed'));
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
  });

  it('tells who waited too long for another that it is under way', async () => {
    const { effects } = await start(1);
    const gate = Promise.withResolvers<string>();
    let begun = false;
    const first = effects.once(
      key,
      () => {
        begun = true;
        return gate.promise;
      },
      { signal },
    );
    await until(() => begun, { what: 'the effect to begin' });

    await expect(effects.once(key, async () => 'twice', { signal })).rejects.toMatchObject({
      code: 'EFFECT_IN_PROGRESS',
      retryAfterSeconds: 60,
    });

    gate.resolve('once');
    await expect(first).resolves.toEqual({ result: 'once', replayed: false });
  });

  it('may be tried again after it failed, and runs again for another generation', async () => {
    const { effects } = await start();
    const boom = new Error('boom');
    await expect(effects.once(key, () => Promise.reject(boom), { signal })).rejects.toBe(boom);

    await expect(effects.once(key, async () => 'second try', { signal })).resolves.toEqual({
      result: 'second try',
      replayed: false,
    });
    await expect(
      effects.once({ ...key, generation: key.generation + 1 }, async () => 'recycled and deleted again', {
        signal,
      }),
    ).resolves.toEqual({ result: 'recycled and deleted again', replayed: false });
  });

  it('of a crashed owner is taken over after its lease, by asking the far side first', async () => {
    const { core, records, effects, outcomes } = await start(1);
    const crash = () => records.take(effectKey(key), { leaseMs: 60_000, ttlMs: 72 * 3_600_000 });
    const run = async () => 'carried out';
    await crash();

    await expect(effects.once(key, run, { signal })).rejects.toMatchObject({ code: 'EFFECT_IN_PROGRESS' });

    core.clock.advanceSeconds(61);
    const unreachable = new Error('the far side does not answer');
    const asking = { signal, ask: () => Promise.reject(unreachable) };
    await expect(effects.once(key, run, asking)).rejects.toBe(unreachable);

    core.clock.advanceSeconds(61);
    const happened = { signal, ask: async () => 'already_gone' };
    await expect(effects.once(key, run, happened)).resolves.toEqual({
      result: 'already_gone',
      replayed: true,
    });
    expect(outcomes).toEqual(['in_progress', 'confirmed']);

    const later = { ...key, generation: 8 };
    await records.take(effectKey(later), { leaseMs: 60_000, ttlMs: 72 * 3_600_000 });
    core.clock.advanceSeconds(61);
    const nothingHappened = { signal, ask: async () => undefined };
    await expect(effects.once(later, run, nothingHappened)).resolves.toEqual({
      result: 'carried out',
      replayed: false,
    });
  });

  it('keeps the result of who took over when the owner that was thought dead comes back', async () => {
    const { core, records, replica } = await start();
    const other = await replica();
    const stale = await records.take(effectKey(key), { leaseMs: 60_000, ttlMs: 72 * 3_600_000 });
    core.clock.advanceSeconds(61);
    await other.effects.once(key, async () => 'by the successor', { signal });
    if (stale.type !== 'taken') throw new Error('not taken');

    await expect(records.complete(stale.hold, 'by the dead')).resolves.toBe(false);
    await expect(records.fail(stale.hold, 'Error')).resolves.toBe(false);
    await expect(other.effects.once(key, async () => 'again', { signal })).resolves.toMatchObject({
      result: 'by the successor',
    });
  });
}

describeOnEngines('a side effect', ({ endpoint }) => {
  const open: TestCore[] = [];
  afterEach(() => {
    for (const core of open.splice(0)) core.close();
  });

  async function start(waitMs = 5_000) {
    const core = await startCore(endpoint);
    open.push(core);
    const outcomes: EffectOutcome[] = [];
    const replica = async () => {
      const other = open.length === 1 && outcomes.length === 0 ? core : await core.replica();
      if (other !== core) open.push(other);
      const records = createEffectRecords(other.client, core.clock, randomUUID);
      const onOutcome = (_type: string, outcome: EffectOutcome) => outcomes.push(outcome);
      return {
        core: other,
        records,
        effects: createSideEffects({ types: ['csp_delete'], records, waitMs, onOutcome }),
      };
    };
    return { ...(await replica()), core, outcomes, replica };
  }

  happensOnce(start);

  it('is not undone by a failure to store its result: the caller has it, and the next one asks', async () => {
    const { core, client, effects, outcomes } = { ...(await start()), client: open[0]?.client };
    if (!client) throw new Error('no client');
    const faults = injectFaults(client);
    const run = async () => {
      faults.next('UpdateItem', failWith(connectionRefused), { times: 100 });
      return 'destroyed';
    };

    await expect(effects.once(key, run, { signal })).resolves.toEqual({
      result: 'destroyed',
      replayed: false,
    });
    faults.clear();
    core.clock.advanceSeconds(61);
    let runs = 0;
    const again = await effects.once(key, async () => `run ${++runs}`, {
      signal,
      ask: async () => 'already_gone',
    });

    expect(again).toEqual({ result: 'already_gone', replayed: true });
    expect(runs).toBe(0);
    expect(outcomes).toEqual(['result_not_stored', 'confirmed']);
  });

  it('does not happen while the store cannot say whether it has', async () => {
    const { core, effects } = await start();
    injectFaults(core.client).next('UpdateItem', failWith(connectionRefused), { times: 100 });
    let runs = 0;

    const call = effects.once(key, async () => ++runs, { signal });

    await expect(call).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(runs).toBe(0);
  });

  it('is recognised as taken when the answer to the taking was lost', async () => {
    const { core, effects } = await start();
    injectFaults(core.client).next('UpdateItem', loseAnswer);

    await expect(effects.once(key, async () => 'once', { signal })).resolves.toEqual({
      result: 'once',
      replayed: false,
    });
  });

  it('gives up waiting when its caller does', async () => {
    const { core, effects } = await start();
    const held = holdCalls();
    injectFaults(core.client).next('UpdateItem', held.fault, { times: 100 });
    const caller = new AbortController();
    const call = effects.once(key, async () => 'never', { signal: caller.signal });
    await until(() => held.waiting > 0, { what: 'the call to be on its way' });

    caller.abort();

    await expect(call).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    held.release();
  });
});

describe('a side effect in memory', () => {
  async function start(waitMs = 5_000): Promise<Stage> {
    const clock = createFakeClock();
    const outcomes: EffectOutcome[] = [];
    const records = createEffectsInMemory({ clock, newId: randomUUID });
    const onOutcome = (_type: string, outcome: EffectOutcome) => outcomes.push(outcome);
    const replica = async () => ({
      core: { clock },
      records,
      effects: createSideEffects({ types: ['csp_delete'], records, waitMs, onOutcome }),
    });
    return { ...(await replica()), outcomes, replica };
  }

  happensOnce(start);

  it('is forgotten after its time, and not before', async () => {
    const clock = createFakeClock();
    const effects = createSideEffects({
      types: ['csp_delete'],
      records: createEffectsInMemory({ clock, newId: randomUUID }),
      ttlMs: 60_000,
    });
    let runs = 0;
    const run = async () => ++runs;
    await effects.once(key, run);
    clock.advanceSeconds(59);
    expect(await effects.once(key, run)).toEqual({ result: 1, replayed: true });
    clock.advanceSeconds(2);
    expect(await effects.once(key, run)).toEqual({ result: 2, replayed: false });
    // @ts-expect-error Nobody has named such a type.
    await expect(effects.once({ ...key, type: 'format_disk' }, run)).rejects.toThrow(RangeError);
  });
});

describe('the key of an effect', () => {
  it('is the same for the same content and differs for another type, kind or generation', () => {
    expect(effectKey({ type: 'delete', entity: { b: 1, a: [true, null] }, generation: 3 })).toBe(
      effectKey({ type: 'delete', entity: { a: [true, null], b: 1 }, generation: 3 }),
    );
    const keys = [
      effectKey({ type: 'delete', entity: '1', generation: 3 }),
      effectKey({ type: 'delete', entity: 1, generation: 3 }),
      effectKey({ type: 'delete', entity: '1', generation: 4 }),
      effectKey({ type: 'purge', entity: '1', generation: 3 }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('lets no part reach into the next', () => {
    const sly = effectKey({ type: 'a', entity: 'b":7:"c', generation: 1 });
    expect(sly.split(':')).toHaveLength(4);
    expect(sly).not.toBe(effectKey({ type: 'a:b":7', entity: 'c', generation: 1 }));
  });

  it.each([undefined, Number.NaN, -1, 1.5, '7'])('is refused with the generation %s', (generation) => {
    const call = () => effectKey({ type: 'delete', entity: 'x', generation: generation as number });
    expect(call).toThrow(RangeError);
  });

  it.each([
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['a function', () => 1],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['a hidden undefined', { a: [undefined] }],
  ])('is refused for %s, which JSON would say as something else', (_name, entity) => {
    expect(() => canonicalJson(entity)).toThrow(TypeError);
  });
});
