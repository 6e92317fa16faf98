import assert from 'node:assert/strict';
import { createGovernor, createSideEffects, openSandboxDatabase } from 'sandbox-broker/safety';

// `memory` is the default. A word makes it durable and shared by all replicas: `embedded`, `{ kind: 'embedded', file }`,
// `{ kind: 'endpoint', url }`, `{ kind: 'aws', region }`.
await using database = await openSandboxDatabase('memory');

const quotas = { send_mail: { maxActions: 1, windowSeconds: 60 } };
const one = createGovernor({ quotas, store: database.quotas });
const two = createGovernor({ quotas, store: database.quotas });
assert.equal((await one.take('send_mail')).allowed, true);
assert.equal((await two.take('send_mail')).allowed, false);

// A clean-up, here at the end of the scope, awaits the sessions under way.
const number = await database.session(async ({ effects: records }) => {
  const effects = createSideEffects({ types: ['send_mail'], records });
  const { result } = await effects.once({ type: 'send_mail', entity: 'a', generation: 1 }, async () => 7);
  return result;
});
assert.equal(number, 7);
assert.equal(await database.check(), true);
