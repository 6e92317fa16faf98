import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import {
  type AlertEvents,
  countAlerts,
  createAlerts,
  createLogger,
  createMetricsGuard,
  emitAlerts,
  logAlerts,
  runWithCorrelation,
} from 'sandbox-broker/safety';

const lines: string[] = [];
const logger = createLogger({
  destination: { write: (line) => lines.push(line) },
  secrets: ['hunter2-is-secret'],
});
const events: AlertEvents = new EventEmitter();
const alerts = createAlerts();

// Hooks: the log, a metric, an event; `tellWebhook({ url })` makes one for a webhook, and any function is one of your own.
const guard = createMetricsGuard({ maxValues: 10 });
guard.register('alerts_total', ['task', 'severity']);
const counted: unknown[] = [];
alerts.subscribe('*', logAlerts(logger));
alerts.subscribe(
  '*',
  countAlerts({ alert: (task, severity) => counted.push(guard.bound('alerts_total', { task, severity })) }),
);
alerts.subscribe(
  '*',
  emitAlerts(events, () => undefined),
);
const seen: string[] = [];
events.on('alert', ({ reason }) => seen.push(reason));
alerts.subscribe('billing', ({ severity }) => seen.push(severity));

// All that happens for one request goes under its ids.
runWithCorrelation({ requestId: 'request-1', correlationId: 'trace-1' }, () =>
  alerts.raise({
    task: 'billing',
    reason: 'card_declined',
    severity: 'warning',
    context: { api_key: 'hunter2-is-secret' },
  }),
);

assert.deepEqual(seen.sort(), ['card_declined', 'warning']);
assert.deepEqual(counted, [{ task: 'billing', severity: 'warning' }]);
assert.match(lines.join(''), /"correlation_id":"trace-1"/);
assert.doesNotMatch(lines.join(''), /hunter2/);
assert.equal(alerts.recent({ minSeverity: 'warning' }).length, 1);
