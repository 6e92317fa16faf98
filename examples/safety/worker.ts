import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { createTaskWorker } from 'sandbox-broker/safety';

const sent: string[] = [];
const worker = createTaskWorker({
  // Any async function under a name; what it takes and gives is JSON.
  tasks: {
    send_mail: async ({ to }: { to: string }) => {
      sent.push(to);
      return { sent: to };
    },
    fail: async () => {
      throw new Error('no such mailbox');
    },
  },
  maxWorkers: 2,
  intervalMs: 1_000,
});

// In the order of submission; the results and errors are kept for a week.
const first = await worker.submit('send_mail', { to: 'a@example.org' });
const second = await worker.submit('send_mail', { to: 'b@example.org' });
const broken = await worker.submit('fail', undefined);
assert.equal(first.status, 'pending');

worker.start();
while ((await worker.get(broken.id))?.status !== 'failed') await delay(5);
const done = await worker.get(second.id);
assert.deepEqual(done?.status === 'completed' && done.result, { sent: 'b@example.org' });
const failed = await worker.get(broken.id);
assert.deepEqual(failed?.status === 'failed' && failed.error, { code: 'Error', message: 'no such mailbox' });
assert.deepEqual(sent, ['a@example.org', 'b@example.org']);
assert.equal(worker.completedJobs(), 2);
assert.equal(worker.heartbeat.isRunning, true);
await worker.stop();
