import { expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { startApp } from '../support/broker/http-app.ts';

/** By operation, the command that does it; or why there is none. */
const COMMANDS: Readonly<Record<string, string>> = {
  listSandboxes: 'list',
  inspectSandbox: 'show',
  exportSandboxes: 'export',
  countSandboxes: 'release',
  poolStats: 'stats',
  getStatus: 'status',
  streamEvents: 'events',
  poolHistory: '(the last hours are what a chart is made of: the console has it)',
  getSession: 'whoami',
  getReadiness: 'readiness',
  checkRuntime: 'runtime',
  listHeartbeats: 'heartbeats',
  getMetricsGuard: 'metrics-guard',
  listAlerts: 'alerts',
  listRetries: 'retries',
  listEffects: 'effects',
  getEffect: '(an effect is in the list with all that is known of it)',
  listIdempotency: 'idempotency',
  dryRunLog: 'dry-run',
  listBreakers: 'breakers',
  overrideBreaker: 'breakers override',
  resetBreaker: 'breakers reset',
  listQuotas: 'quota',
  setQuota: 'quota set',
  resetQuota: 'quota reset',
  listJobs: 'jobs',
  getJob: 'jobs show',
  submitJob: 'sync',
  sync: 'sync',
  cleanup: 'cleanup',
  expire: 'expire',
  autoDeleteStale: 'purge',
  releaseSandbox: 'release',
  releaseSandboxes: 'release',
  retryDeletion: 'retry-deletion',
  retryDeletions: 'retry-deletions',
  bulkDelete: 'bulk-delete',
  quarantineSandbox: 'quarantine',
  extendForHolder: 'extend',
  restoreSandbox: 'restore',
  listLine: 'line',
  removePlace: 'line remove',
};

test('the command line does what operators can do over the API', async () => {
  const { call } = await startApp();
  const { json } = await call('GET', '/v1/openapi.json');
  const { paths } = json as unknown as { paths: Record<string, Record<string, { operationId: string }>> };
  const operations = Object.entries(paths).flatMap(([path, byMethod]) =>
    path.startsWith('/v1/admin/') ? Object.values(byMethod).map(({ operationId }) => operationId) : [],
  );
  expect(operations.filter((operation) => COMMANDS[operation] === undefined)).toEqual([]);
  expect(Object.keys(COMMANDS).filter((operation) => !operations.includes(operation))).toEqual([]);

  const program = createProgram('1.0.0');
  const known = program.commands.flatMap((command) => [
    command.name(),
    ...command.commands.map((child) => `${command.name()} ${child.name()}`),
  ]);
  const named = Object.values(COMMANDS).filter((command) => !command.startsWith('('));
  expect(named.filter((command) => !known.includes(command))).toEqual([]);
});
