import assert from 'node:assert/strict';
import { createDryRunLock, createGuard, createSideEffects, irreversibleAdapter } from 'sandbox-broker/safety';

// Exactly once for a type, an entity and a generation, over retries, crashes and replicas.
const effects = createSideEffects({ types: ['send_invoice'], ttlMs: 7 * 86_400_000 });
let sent = 0;
const send = async (customer: string) => ({ customer, number: ++sent });

const invoice = { type: 'send_invoice', entity: 'customer-4', generation: 1 } as const;
assert.deepEqual(await effects.once(invoice, () => send('customer-4')), {
  result: { customer: 'customer-4', number: 1 },
  replayed: false,
});
assert.equal((await effects.once(invoice, () => send('customer-4'))).replayed, true);

// An adapter puts a function behind lock, record, quota and breaker without touching it.
const guard = createGuard({
  dryRun: createDryRunLock({ actions: { send_invoice: 'irreversible' }, enabled: false }),
  effects,
});
const sendOnce = irreversibleAdapter(guard, 'send_invoice')(send, (customer) => ({
  entity: customer,
  generation: 2,
}));
await sendOnce('customer-4');
assert.deepEqual(await sendOnce('customer-4'), {
  outcome: 'executed',
  result: { customer: 'customer-4', number: 2 },
});
assert.equal(sent, 2);
