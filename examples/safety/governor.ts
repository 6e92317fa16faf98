import assert from 'node:assert/strict';
import { createGovernor } from 'sandbox-broker/safety';

const governor = createGovernor({
  quotas: {
    send_mail: { maxActions: 2, windowSeconds: 60 },
    // Counted for each caller by itself.
    api_call: { maxActions: 100, windowSeconds: 60, scope: 'local' },
  },
});

await governor.take('send_mail');
await governor.take('send_mail');
const verdict = await governor.take('send_mail');
assert.equal(verdict.allowed, false);
assert.equal(governor.check('api_call', 'caller-7').allowed, true);
assert.equal(governor.violations('send_mail').length, 1);

// A limit can be changed while all is running; what was used stays counted.
await governor.setLimit('send_mail', 10);
assert.equal((await governor.take('send_mail')).allowed, true);
assert.equal(governor.status()[0]?.currentActions, 3);
