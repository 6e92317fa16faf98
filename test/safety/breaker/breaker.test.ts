import { describe, expect, test } from 'vitest';
import type { BreakerRules, BreakerState } from '../../../src/domain/resilience/breaker.ts';
import { ProviderError } from '../../../src/provider/provider.ts';
import { healthOfCall, tripOfCall } from '../../../src/provider/verdicts.ts';
import { type BreakerDeps, BreakerOpenError, createBreaker } from '../../../src/safety/breaker/breaker.ts';
import type { Transition } from '../../../src/safety/breaker/shared-breaker.ts';
import { createFakeClock } from '../../support/broker/core.ts';

const RULES: Partial<BreakerRules> = {
  trip: { kind: 'consecutive', failures: 5 },
  recovery: { kind: 'automatic', afterMs: 60_000 },
};
const never = () => new AbortController().signal;

/** A breaker of this process alone, and all that it told. */
function setUp(deps: Partial<BreakerDeps> = {}) {
  const clock = createFakeClock();
  const states: BreakerState[] = [];
  const transitions: Transition[] = [];
  const breaker = createBreaker({
    name: 'csp_delete',
    clock,
    rules: RULES,
    judge: healthOfCall,
    tripOf: tripOfCall,
    onState: (state) => states.push(state),
    onTransition: (transition) => transitions.push(transition),
    ...deps,
  });
  let calls = 0;
  const call = (error?: unknown) =>
    breaker.execute(async () => {
      calls++;
      if (error !== undefined) throw error;
      return 'fine';
    }, never());
  const fail = async (times = 1, error: unknown = down()) => {
    for (let i = 0; i < times; i++) await expect(call(error)).rejects.toBe(error);
  };
  return { breaker, clock, states, transitions, call, fail, calls: () => calls };
}

const down = () => new ProviderError('server_error', 'down', { status: 503 });

describe('a closed breaker', () => {
  test('hands through results and errors as they are', async () => {
    const { call, fail } = setUp();
    expect(await call()).toBe('fine');
    await fail(1, new Error('its own words'));
  });

  test('opens with the fifth failure in a row: the sixth call is not made', async () => {
    const { breaker, call, fail, calls, states, transitions } = setUp();
    await fail(4);
    expect(breaker.state()).toBe('closed');
    await fail();
    expect(breaker.state()).toBe('open');
    const error = await call().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BreakerOpenError);
    expect(error).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      retryAfterMs: 60_000,
      retryAfterSeconds: 60,
    });
    expect(calls()).toBe(5);
    expect(states).toEqual(['closed', 'open']);
    expect(transitions).toEqual([
      { name: 'csp_delete', from: 'closed', to: 'open', cause: 'calls', why: 'outage' },
    ]);
  });

  test('by default opens with ten failures, and only an operator closes it', async () => {
    const clock = createFakeClock();
    const breaker = createBreaker({ name: 'webhook', clock });
    const call = () => breaker.execute(async () => Promise.reject(down()), never());
    for (let i = 0; i < 10; i++) await expect(call()).rejects.toThrow('down');
    await expect(call()).rejects.toThrow(BreakerOpenError);
    clock.advanceSeconds(86_400);
    await expect(call()).rejects.toThrow(BreakerOpenError);
    expect(breaker.blockedForMs()).toBeGreaterThan(0);
    await breaker.reset();
    await expect(call()).rejects.toThrow('down');
  });

  test('counts calls that fail at the same moment one by one', async () => {
    const { breaker } = setUp();
    const calls = Array.from({ length: 5 }, () => breaker.execute(() => Promise.reject(down()), never()));
    await Promise.allSettled(calls);
    expect(breaker.state()).toBe('open');
  });

  test.each<[string, unknown]>([
    ['a 4xx', new ProviderError('rejected', 'no', { status: 400 })],
    ['a 429', new ProviderError('rate_limited', 'slower', { status: 429 })],
    ['a call that nobody sent', new ProviderError('rejected', 'no uuid')],
  ])('is not opened by %s', async (_, error) => {
    const { breaker, fail } = setUp();
    await fail(20, error);
    expect(breaker.state()).toBe('closed');
  });

  test.each<[string, unknown]>([
    ['5xx', down()],
    ['bodies that are not JSON', new ProviderError('bad_response', 'HTML', { status: 200 })],
    ['time-outs', new ProviderError('timeout', 'late')],
    ['connections that break', new ProviderError('network', 'cut')],
  ])('is opened by %s', async (_, error) => {
    const { breaker, fail } = setUp();
    await fail(5, error);
    expect(breaker.state()).toBe('open');
  });

  test('does not count callers that gave up', async () => {
    const { breaker } = setUp();
    for (let i = 0; i < 20; i++) {
      const caller = new AbortController();
      const call = breaker.execute(() => {
        caller.abort();
        return Promise.reject(down());
      }, caller.signal);
      await expect(call).rejects.toThrow('down');
    }
    expect(breaker.state()).toBe('closed');
    await expect(breaker.execute(async () => 'x', AbortSignal.abort())).rejects.toThrow('aborted');
  });
});

describe('an open breaker', () => {
  async function open() {
    const made = setUp();
    await made.fail(5);
    return made;
  }

  test('says how long it refuses', async () => {
    const { breaker, clock } = await open();
    clock.advanceSeconds(20);
    expect(breaker.blockedForMs()).toBe(40_000);
    clock.advanceSeconds(40);
    expect(breaker.blockedForMs()).toBe(0);
  });

  test('after its time lets one probe go, of however many ask; answered, it closes', async () => {
    const { breaker, clock, call, calls, transitions } = await open();
    clock.advanceSeconds(60);
    const { promise: answer, resolve } = Promise.withResolvers<string>();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const probe = breaker.execute(() => {
      arrive();
      return answer;
    }, never());
    await arrived;
    expect(breaker.state()).toBe('half_open');
    const others = await Promise.allSettled([call(), call(), call()]);
    expect(others.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(calls()).toBe(5);
    resolve('back');
    expect(await probe).toBe('back');
    expect(breaker.state()).toBe('closed');
    expect(await call()).toBe('fine');
    expect(transitions.map(({ from, to }) => `${from} ${to}`)).toEqual([
      'closed open',
      'open half_open',
      'half_open closed',
    ]);
  });

  test('stays so when the probe fails', async () => {
    const { breaker, clock, call, fail } = await open();
    clock.advanceSeconds(60);
    await fail();
    expect(breaker.state()).toBe('open');
    expect(breaker.blockedForMs()).toBe(60_000);
    await expect(call()).rejects.toThrow(BreakerOpenError);
  });

  test('takes a 4xx for a sign of life', async () => {
    const { breaker, clock, fail } = await open();
    clock.advanceSeconds(60);
    await fail(1, new ProviderError('rejected', 'no', { status: 409 }));
    expect(breaker.state()).toBe('closed');
  });

  test('lets the next one probe when the probe was never sent', async () => {
    const { breaker, clock, call, fail } = await open();
    clock.advanceSeconds(60);
    await fail(1, new ProviderError('rejected', 'no uuid'));
    expect(breaker.state()).toBe('open');
    expect(await call()).toBe('fine');
  });
});

describe('an operator', () => {
  test('holds it open, and then it is what it was', async () => {
    const { breaker, clock, call, states, transitions } = setUp();
    await breaker.override('open', 30_000);
    await expect(call()).rejects.toMatchObject({ retryAfterMs: 30_000 });
    expect(breaker.report()).toMatchObject({
      state: 'open',
      override: { state: 'open', untilMs: clock.nowMs() + 30_000 },
    });
    clock.advanceSeconds(30);
    expect(await call()).toBe('fine');
    await breaker.refresh();
    expect(breaker.report()).not.toHaveProperty('override');
    expect(states).toEqual(['closed', 'open', 'closed']);
    expect(transitions.map(({ cause }) => cause)).toEqual(['override', 'override_over']);
  });

  test('holds it closed, whatever fails', async () => {
    const { breaker, clock, fail } = setUp();
    await breaker.override('closed', 30_000);
    await fail(20);
    expect(breaker.state()).toBe('closed');
    clock.advanceSeconds(30);
    await fail(5);
    expect(breaker.state()).toBe('open');
  });

  test('resets it', async () => {
    const { breaker, call, fail } = setUp();
    await fail(5);
    await breaker.override('open', 30_000);
    await breaker.reset();
    expect(breaker.report()).toMatchObject({ state: 'closed', failures: 0 });
    expect(await call()).toBe('fine');
  });
});
