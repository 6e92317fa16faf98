import assert from 'node:assert/strict';
import { BreakerOpenError, createAlerts, createBreaker, transitionAlert } from 'sandbox-broker/safety';

// Ten failures in five minutes open it, and an operator closes it, unless the rules say otherwise. An alert goes to hooks
// of every kind: log, metric, event, webhook.
const alerts = createAlerts();
const breaker = createBreaker({
  name: 'rates_api',
  rules: { trip: { kind: 'consecutive', failures: 3 } },
  onTransition: (transition) => alerts.raise(transitionAlert(transition)),
});

const down = async () => {
  throw Object.assign(new Error('down'), { status: 503 });
};
for (let call = 0; call < 3; call++) await assert.rejects(breaker.execute(down), /down/);

assert.equal(breaker.state(), 'open');
await assert.rejects(breaker.execute(down), BreakerOpenError);
assert.equal(alerts.recent({ task: 'rates_api' })[0]?.reason, 'breaker_opened');

await breaker.reset();
assert.equal(await breaker.execute(async () => 'rates'), 'rates');
