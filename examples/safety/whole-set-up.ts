import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { createSandboxOrchestrator } from 'sandbox-broker/safety';

await using orchestrator = createSandboxOrchestrator({
  actions: { delete_user: 'irreversible', read_user: 'reversible' },
  quotas: { deletions: { maxActions: 10, windowSeconds: 3_600 } },
  resourceOf: { delete_user: 'deletions' },
  tasks: { greet: async ({ name }: { name: string }) => `hello ${name}` },
  // 'embedded', or { kind: 'aws', region: 'eu-west-1' }: durable, and shared by all replicas.
  database: 'memory',
  dryRun: { enabled: false },
});
const { guard, idempotency, worker, alerts, breaker } = await orchestrator.initialize();
assert.equal(await orchestrator.isReady(), true);

// A call that cannot be undone goes through everything.
const deleted = await guard.run(
  { action: 'delete_user', entity: 'user-7', generation: 1, task: 'delete_user:user-7' },
  async () => 'deleted',
  { breaker: breaker('user_service') },
);
assert.deepEqual(deleted, { outcome: 'executed', result: 'deleted' });

await idempotency.process('request-1', async () => 'answer');
const job = await worker.submit('greet', { name: 'world' });
while ((await worker.get(job.id))?.status !== 'completed') await delay(5);
alerts.raise({ task: 'example', reason: 'all_done', severity: 'info', context: {} });

const status = orchestrator.getStatus();
assert.deepEqual(status.readiness, { database: true, worker: true, governor: true });
assert.equal(status.heartbeat['worker']?.isHealthy, true);
assert.equal(status.governor[0]?.currentActions, 1);
assert.deepEqual([status.completedJobs, status.alerts, status.idempotentOperations], [1, 1, 1]);
