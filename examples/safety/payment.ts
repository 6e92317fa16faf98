import assert from 'node:assert/strict';
import {
  createAlerts,
  createBreaker,
  createDryRunLock,
  createGovernor,
  createGuard,
  createIdempotency,
  createRetry,
  createSideEffects,
  transitionAlert,
} from 'sandbox-broker/safety';

const ACTIONS = { payment: 'irreversible', quote: 'reversible' } as const;
const alerts = createAlerts();
const governor = createGovernor({
  quotas: { payments: { maxActions: 2, windowSeconds: 3_600 } },
  alert: alerts.raise,
});
const idempotency = createIdempotency();
const breaker = createBreaker({ name: 'bank', onTransition: (each) => alerts.raise(transitionAlert(each)) });

/** What stands before a payment: quota, lock, record of what happened, breaker, retries. */
const guardOf = (enabled: boolean) =>
  createGuard({
    governor,
    dryRun: createDryRunLock({ actions: ACTIONS, enabled }),
    effects: createSideEffects({ types: ['payment'] }),
    retry: createRetry({ policy: { retries: 2, baseMs: 5, maxMs: 20 } }),
    resourceOf: { payment: 'payments' },
  });

let charged = 0;
let bankCalls = 0;
/** A bank that is away at the first call. */
const charge = async (amount: number) => {
  if (++bankCalls === 1) throw Object.assign(new Error('away'), { status: 503 });
  charged += amount;
  return { receipt: bankCalls };
};

const pay = (guard: ReturnType<typeof guardOf>, id: string, amount: number) =>
  idempotency.process(
    id,
    () =>
      guard.run(
        { action: 'payment', entity: id, generation: 1, task: `payment:${id}`, args: { amount } },
        () => charge(amount),
        { breaker },
      ),
    { request: { amount } },
  );

// In a dry run nothing is charged, and no quota used.
const rehearsal = await pay(guardOf(true), 'rehearsal-1', 5);
assert.equal(rehearsal.result.outcome, 'dry_run');
assert.equal(charged, 0);

// For real it is charged once, over a failure and a repetition.
const guard = guardOf(false);
const first = await pay(guard, 'payment-1', 5);
const again = await pay(guard, 'payment-1', 5);
assert.deepEqual(first.result, { outcome: 'executed', result: { receipt: 2 } });
assert.deepEqual([again.replayed, again.result, charged], [true, first.result, 5]);

// And within its quota: the third one comes later, and an alert says so.
await pay(guard, 'payment-2', 5);
assert.equal((await pay(guard, 'payment-3', 5)).result.outcome, 'later');
assert.equal(alerts.recent({ task: 'governor' })[0]?.reason, 'quota_exceeded_payments');
assert.equal(charged, 10);
