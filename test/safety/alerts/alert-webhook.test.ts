import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  ACTIONS,
  type Action,
  IRREVERSIBLE_ACTIONS,
  type Resource,
} from '../../../src/domain/resilience/action.ts';
import type { WebhookOutcome } from '../../../src/domain/resilience/alert.ts';
import type { BreakerRules } from '../../../src/domain/resilience/breaker.ts';
import { createCooldown } from '../../../src/safety/alerts/cooldown.ts';
import { createAlertWebhook } from '../../../src/safety/alerts/webhook.ts';
import { deliverWebhook } from '../../../src/safety/alerts/webhook-delivery.ts';
import { createWebhookHttp } from '../../../src/safety/alerts/webhook-http.ts';
import { createBreaker } from '../../../src/safety/breaker/breaker.ts';
import { createDryRunLock } from '../../../src/safety/dry-run/dry-run.ts';
import { createSideEffects } from '../../../src/safety/effects/side-effects.ts';
import { createGuard } from '../../../src/safety/guard/guard.ts';
import { redaction } from '../../../src/safety/redacted.ts';
import { createRetry, type RetryPolicy } from '../../../src/safety/retry/retry.ts';
import { createEffectRecords } from '../../../src/store/shared/effects.ts';
import { openTable } from '../../../src/store/table.ts';
import { raised } from '../../support/broker/alerts.ts';
import { createCountingClient, createFakeClock, uniqueTable } from '../../support/broker/core.ts';
import { type Reaction, startReceiver } from '../../support/broker/webhook-receiver.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { until } from '../../support/until.ts';

const COOLDOWN_MS = 300_000;
/** Nobody listens there. */
const NO_STORE = 'http://127.0.0.1:9';

interface Options {
  reaction?: Reaction;
  dryRun?: boolean;
  /** Where the effect records are kept; without it nobody keeps any. */
  endpoint?: string;
  timeoutMs?: number;
  retry?: Partial<RetryPolicy>;
  breaker?: Partial<BreakerRules>;
}

/** A webhook as the broker builds it, quotas aside, and the receiver at the far end. */
async function start({ reaction, dryRun = false, endpoint, timeoutMs, ...rules }: Options = {}) {
  const receiver = await startReceiver(reaction);
  const clock = createFakeClock();
  const http = createWebhookHttp({
    url: receiver.url,
    format: 'generic',
    clock,
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  onTestFinished(() => http.close());
  const lock = createDryRunLock({ actions: ACTIONS, clock, redact: redaction(), enabled: dryRun });
  const governor = {
    take: async () => ({ allowed: true }) as const,
    check: () => ({ allowed: true }) as const,
  };
  const retry = createRetry({ policy: { retries: 2, baseMs: 1, maxMs: 1, ...rules.retry } });
  const withoutRecords = { governor, dryRun: lock, retry };
  const { client } = createCountingClient(endpoint ?? NO_STORE, uniqueTable());
  onTestFinished(async () => client.close());
  if (endpoint !== undefined && endpoint !== NO_STORE) {
    await openTable(client, { buckets: 16, create: true }, AbortSignal.timeout(60_000));
  }
  const effects = createSideEffects({
    types: IRREVERSIBLE_ACTIONS,
    records: createEffectRecords(client, clock, randomUUID),
  });
  const deliver = deliverWebhook<Action, Resource>({
    action: 'external_call',
    http,
    // The clock of the breaker is the real one: how long it is open is what some tests wait for.
    breaker: createBreaker({
      name: 'webhook',
      clock: { nowMs: () => Date.now() },
      rules: { trip: { kind: 'consecutive', failures: 5 }, ...rules.breaker },
    }),
    guard: createGuard({ ...withoutRecords, ...(endpoint !== undefined && { effects }) }),
    guardWithoutRecords: createGuard(withoutRecords),
  });
  let monotonicMs = 0;
  const outcomes: [WebhookOutcome, string][] = [];
  const errors: unknown[] = [];
  const webhook = createAlertWebhook({
    cooldown: createCooldown(COOLDOWN_MS, () => monotonicMs),
    deliver,
    onOutcome: (outcome, alert, error) => {
      outcomes.push([outcome, alert.reason]);
      if (error !== undefined) errors.push(error);
    },
  });
  const notify = (reason: string, more = {}) => webhook.notify(raised({ reason, ...more }));
  const told = () => receiver.requests.map(({ json }) => [json['reason'], json['swallowed']]);
  const count = (outcome: WebhookOutcome) => outcomes.filter(([each]) => each === outcome).length;
  return {
    receiver,
    lock,
    deliver,
    webhook,
    outcomes,
    errors,
    notify,
    told,
    count,
    advance: (ms: number) => {
      monotonicMs += ms;
    },
    counted: (outcome: WebhookOutcome, times: number) =>
      until(() => count(outcome) === times, { what: `${times} times ${outcome}` }),
  };
}

describe('an alert webhook', () => {
  test('is told once in 300 s about one task and reason, and at once about every other', async () => {
    const { notify, told, counted, advance } = await start();
    for (let n = 0; n < 5; n++) notify('run_failed');
    notify('shrink_guard');
    notify('run_failed', { task: 'cleanup' });
    await counted('sent', 3);
    await counted('swallowed', 4);
    advance(COOLDOWN_MS - 1);
    notify('run_failed');
    await counted('swallowed', 5);
    advance(1);
    notify('run_failed');
    await counted('sent', 4);
    // The first was on its way when four more came: it is sent with what it knew by then.
    const ofSync = told().filter(([reason]) => reason === 'run_failed');
    expect(ofSync).toHaveLength(3);
    expect(ofSync.reduce((sum, [, swallowed]) => sum + Number(swallowed), 0)).toBe(5);
    expect(told().filter(([reason]) => reason === 'shrink_guard')).toEqual([['shrink_guard', 0]]);
  });

  test('that hangs holds up nobody who raises an alert, and is given up after its time', async () => {
    const { notify, receiver, count, counted } = await start({
      reaction: { kind: 'hang' },
      timeoutMs: 300,
      retry: { retries: 0 },
    });
    notify('one');
    await receiver.arrived(1);
    // While that one hangs: the call that raises comes back although nothing has been decided about the first.
    notify('two');
    expect(count('failed')).toBe(0);
    receiver.react({ kind: 'answer', status: 200 });
    await counted('failed', 1);
    await counted('sent', 1);
    expect(receiver.requests.map(({ json }) => json['reason'])).toEqual(['one', 'two']);
  });

  test('that fails is tried again, and then given up without harm to the others', async () => {
    const { notify, told, receiver, counted, errors } = await start({
      reaction: { kind: 'answer', status: 500 },
    });
    notify('one');
    await counted('failed', 1);
    expect(told().map(([reason]) => reason)).toEqual(['one', 'one', 'one']);
    expect(errors).toMatchObject([{ name: 'WebhookError', status: 500 }]);
    receiver.react({ kind: 'answer', status: 200 });
    notify('two');
    await counted('sent', 1);
  });

  test('that refuses is not tried again: a 4xx stays one', async () => {
    const { notify, receiver, counted } = await start({ reaction: { kind: 'answer', status: 404 } });
    notify('one');
    await counted('failed', 1);
    expect(receiver.requests).toHaveLength(1);
  });

  test('that did not get an alert gets the next of its kind soon, with a word about the lost one', async () => {
    const { notify, told, receiver, counted, advance } = await start({
      reaction: { kind: 'answer', status: 404 },
    });
    notify('one');
    await counted('failed', 1);
    receiver.react({ kind: 'answer', status: 200 });
    advance(15_000);
    notify('one');
    await counted('sent', 1);
    expect(told()).toEqual([
      ['one', 0],
      ['one', 1],
    ]);
  });

  test('that is slow gets one alert after the other, in order', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { notify, told, receiver, counted } = await start({
      reaction: { kind: 'answer', status: 200, until: released },
    });
    for (const reason of ['one', 'two', 'three']) notify(reason);
    await receiver.arrived(1);
    expect(receiver.requests).toHaveLength(1);
    release();
    await counted('sent', 3);
    expect(told().map(([reason]) => reason)).toEqual(['one', 'two', 'three']);
  });

  test('has a hundred kinds waiting at most: what is dropped is counted, and the next of its kind goes', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { notify, told, receiver, count, counted, advance } = await start({
      reaction: { kind: 'answer', status: 200, until: released },
    });
    for (let n = 1; n <= 150; n++) notify(`reason-${n}`);
    await receiver.arrived(1);
    expect([count('dropped'), count('swallowed')]).toEqual([50, 0]);
    release();
    await counted('sent', 100);
    advance(15_000);
    notify('reason-150');
    await counted('sent', 101);
    expect(told().at(-1)).toEqual(['reason-150', 1]);
  });

  test('whose breaker is open is left alone, and gets what has waited when it is back', async () => {
    const { notify, told, receiver, counted, outcomes } = await start({
      reaction: { kind: 'answer', status: 503 },
      retry: { retries: 0 },
      breaker: {
        trip: { kind: 'consecutive', failures: 2 },
        recovery: { kind: 'automatic', afterMs: 50 },
      },
    });
    notify('one');
    notify('two');
    await counted('failed', 2);
    receiver.react({ kind: 'answer', status: 200 });
    for (const reason of ['three', 'four', 'three']) notify(reason);
    await counted('sent', 2);
    expect(told().slice(2)).toEqual([
      ['three', 1],
      ['four', 0],
    ]);
    expect(outcomes.filter(([outcome]) => outcome === 'failed')).toHaveLength(2);
  });

  test('is not called in a dry run, and the log of that says what would have been sent', async () => {
    const { notify, receiver, counted, lock } = await start({ dryRun: true });
    notify('one');
    notify('one');
    notify('two');
    await counted('dry_run', 2);
    await counted('swallowed', 1);
    expect(receiver.requests).toEqual([]);
    expect(lock.log({ action: 'external_call' })).toMatchObject([
      { status: 'dry_run_blocked', args: { task: 'sync', reason: 'one', severity: 'critical' } },
      { status: 'dry_run_blocked', args: { reason: 'two' } },
    ]);
  });

  test('gets what waits before the broker ends', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { notify, told, webhook, receiver, outcomes } = await start({
      reaction: { kind: 'answer', status: 200, until: released },
    });
    for (const reason of ['one', 'two', 'three']) notify(reason);
    await receiver.arrived(1);
    const closed = webhook.close(10_000);
    notify('four');
    release();
    await closed;
    expect(told().map(([reason]) => reason)).toEqual(['one', 'two', 'three']);
    expect(outcomes).toEqual([
      ['dropped', 'four'],
      ['sent', 'one'],
      ['sent', 'two'],
      ['sent', 'three'],
    ]);
  });

  test('that hangs does not keep the broker from ending, and what it did not get is counted', async () => {
    const { notify, webhook, receiver, outcomes } = await start({ reaction: { kind: 'hang' } });
    for (const reason of ['one', 'two']) notify(reason);
    await receiver.arrived(1);
    await webhook.close(100);
    expect(outcomes).toEqual([
      ['dropped', 'one'],
      ['dropped', 'two'],
    ]);
  });
});

describe('without the store', () => {
  test('an alert is sent all the same: it may be the one that says so', async () => {
    const { notify, receiver, counted, lock } = await start({ endpoint: NO_STORE });
    notify('store_away');
    await counted('sent', 1);
    expect(receiver.requests).toHaveLength(1);
    expect(lock.log({ action: 'external_call' }).at(-1)).toMatchObject({ status: 'executed' });
  });

  test('a dry run is a dry run all the same', async () => {
    const { notify, receiver, counted } = await start({ endpoint: NO_STORE, dryRun: true });
    notify('store_away');
    await counted('dry_run', 1);
    expect(receiver.requests).toEqual([]);
  });
});

describeOnEngines('with the store', ({ endpoint }) => {
  test('an alert is sent once, whoever delivers it again', async () => {
    const { deliver, receiver, lock } = await start({ endpoint });
    const alert = raised();
    const signal = new AbortController().signal;
    const deliveries = await Promise.all(
      Array.from({ length: 5 }, () => deliver({ alert, swallowed: 0 }, signal)),
    );
    expect(deliveries).toEqual(['sent', 'sent', 'sent', 'sent', 'sent']);
    expect(receiver.requests).toHaveLength(1);
    expect(lock.log({ action: 'external_call' })[0]).toMatchObject({ status: 'executed' });
    await deliver({ alert: raised(), swallowed: 0 }, signal);
    expect(receiver.requests).toHaveLength(2);
  });
});
