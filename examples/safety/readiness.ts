import assert from 'node:assert/strict';
import {
  createHeartbeat,
  createHeartbeatMonitor,
  createReadiness,
  createRuntimeChecks,
} from 'sandbox-broker/safety';

// A sign of life is given by making progress; silence for longer than the time-out is a hang.
const heartbeat = createHeartbeat();
const monitor = createHeartbeatMonitor({ timeoutMs: 60_000 });
monitor.watch('importer', heartbeat);
heartbeat.begin();
heartbeat.beat();
monitor.check();

const runtime = createRuntimeChecks({
  checks: {
    memory: () => ({
      status: process.memoryUsage().heapUsed < 4e9 ? 'ok' : 'warning',
      message: 'The heap is below 4 GB.',
      details: {},
    }),
  },
});

let databaseAnswers = true;
const readiness = createReadiness();
readiness.register({ name: 'database', check: async () => databaseAnswers });
readiness.register({
  name: 'importer',
  otherwise: 'degraded',
  check: () => monitor.report()['importer']?.isHealthy ?? false,
});
readiness.register({
  name: 'runtime',
  check: async (signal) => (await runtime.runAll(signal)).every(({ status }) => status !== 'critical'),
});

await readiness.runAll();
assert.equal(readiness.isReady(), true);
assert.deepEqual(readiness.status().checks, { database: true, importer: true, runtime: true });
databaseAnswers = false;
assert.equal((await readiness.runAll()).verdict, 'no_go');
assert.equal(readiness.isReady(), false);
