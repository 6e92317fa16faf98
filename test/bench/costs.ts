import { request } from 'undici';
import { systemClock } from '../../src/clock.ts';
import { DEVELOPMENT_TOKENS } from '../../src/config/variables.ts';
import {
  ACTIONS,
  IRREVERSIBLE_ACTIONS,
  RESOURCES,
  type Resource,
  scopedQuotas,
} from '../../src/domain/resilience/action.ts';
import type { EffectRecords } from '../../src/domain/resilience/effect.ts';
import { createBreaker } from '../../src/safety/breaker/breaker.ts';
import { createDryRunLock } from '../../src/safety/dry-run/dry-run.ts';
import { createSideEffects } from '../../src/safety/effects/side-effects.ts';
import { createGuard, createTaskWorker, openSandboxDatabase } from '../../src/safety/index.ts';
import { createGovernor } from '../../src/safety/quota/governor.ts';
import { redaction } from '../../src/safety/redacted.ts';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { createQuotaStore } from '../../src/store/shared/quotas.ts';
import { createMetricsGuard } from '../../src/telemetry/metrics-guard.ts';
import { withPool, withReplicas } from './stage.ts';
import { median } from './statistics.ts';

/** CPU time of one safety system for one call, microseconds: the median of some batches. */
export interface SafetyCost {
  system: string;
  cpuMicroseconds: number;
}

const BATCHES = 7;

/**
 * What each safety system costs a call beside its store calls, which the tables above count: the records answer at once.
 */
export async function safetyCosts(callsPerBatch: number): Promise<SafetyCost[]> {
  const { signal } = new AbortController();
  // The quota that is measured is counted in the process: nobody is ever asked here.
  const client = createStoreClient({ endpoint: 'http://127.0.0.1:9', region: 'local', table: 'none' });
  const governor = createGovernor({
    quotas: scopedQuotas(everyQuota({ maxActions: Number.MAX_SAFE_INTEGER, windowSeconds: 60 })),
    store: createQuotaStore(client, systemClock),
    clock: systemClock,
    alert: () => undefined,
  });
  const redact = redaction();
  const open = createDryRunLock({ actions: ACTIONS, clock: systemClock, redact, enabled: false });
  const locked = createDryRunLock({ actions: ACTIONS, clock: systemClock, redact });
  const effects = createSideEffects({ types: IRREVERSIBLE_ACTIONS, records: ANSWERS_AT_ONCE });
  const guard = createMetricsGuard();
  guard.register('requests', ['method', 'status']);
  const breaker = createBreaker({ name: 'bench', clock: systemClock });
  const worker = createTaskWorker({ tasks: { nothing: async () => undefined } });
  const whole = createGuard({ dryRun: open, governor, resourceOf: { csp_delete: 'api_call' } });
  const call = async () => 'done';

  const systems: [string, (index: number) => unknown][] = [
    ['governor: one use of a quota, 1,000 callers', (index) => governor.take('api_call', `${index % 1_000}`)],
    ['dry run: is this action locked?', () => open.blocks('csp_delete')],
    [
      'dry run: one blocked action, with its log',
      (index) => {
        locked.blocks('csp_delete');
        locked.record({ action: 'csp_delete', status: 'dry_run_blocked', args: { index } });
      },
    ],
    [
      'effect: taken, run and completed',
      (index) =>
        effects.once({ type: 'csp_delete', entity: `sandbox-${index}`, generation: index }, call, { signal }),
    ],
    ['cardinality guard: two labels', () => guard.bound('requests', { method: 'POST', status: '201' })],
    ['breaker: a call through a closed one', () => breaker.execute(call, signal)],
    [
      'guard: governor, dry run and its log around one call',
      (index) =>
        whole.run({ action: 'csp_delete', entity: 'sandbox', generation: index, task: 'bench' }, call),
    ],
    ['worker: one job submitted, in memory', () => worker.submit('nothing', undefined)],
  ];
  const costs: SafetyCost[] = [];
  for (const [system, once] of systems) {
    const batches: number[] = [];
    for (let batch = 0; batch < BATCHES; batch++) batches.push(await cpuPerCall(once, callsPerBatch));
    costs.push({ system, cpuMicroseconds: median(batches) });
  }
  client.close();
  return costs;
}

async function cpuPerCall(once: (index: number) => unknown, calls: number): Promise<number> {
  const before = process.cpuUsage();
  for (let index = 0; index < calls; index++) await once(index);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

const everyQuota = (quota: { maxActions: number; windowSeconds: number }) =>
  Object.fromEntries(RESOURCES.map((resource) => [resource, quota])) as Record<Resource, typeof quota>;

/** The store's part of an effect, without the store. */
const ANSWERS_AT_ONCE: EffectRecords = {
  isOver: () => false,
  take: async (pk) => ({
    type: 'taken',
    hold: { pk, owner: 'bench', fence: 1, isTakenOver: false, untilMs: 0, ttlMs: 1 },
  }),
  complete: async () => true,
  fail: async () => true,
};

/** The submission of a job that is kept in a table of the embedded engine, milliseconds, one after the other. */
export async function durableSubmitTimes(jobs: number): Promise<number[]> {
  await using database = await openSandboxDatabase('embedded');
  const worker = createTaskWorker({ tasks: { nothing: async () => undefined }, queue: database.queue });
  const times: number[] = [];
  for (let job = -jobs / 10; job < jobs; job++) {
    const startedMs = performance.now();
    await worker.submit('nothing', undefined);
    if (job >= 0) times.push(performance.now() - startedMs);
  }
  return times;
}

/** From the submission of a job to the first sight of it at work or done, milliseconds, one job after the other. */
export async function jobStartTimes(jobs: number): Promise<number[]> {
  return await withPool({ size: 10 }, (pool) =>
    withReplicas(pool, 1, async ({ urlFor }) => {
      const times: number[] = [];
      for (let job = 0; job < jobs; job++) {
        const startedMs = performance.now();
        const { job_id } = await admin(urlFor(0), 'POST', '/v1/admin/jobs', { type: 'expire' });
        while ((await admin(urlFor(0), 'GET', `/v1/admin/jobs/${job_id}`)).status === 'pending') {
          if (performance.now() - startedMs > JOB_WITHIN_MS) throw new Error(`job ${job_id} does not start`);
        }
        times.push(performance.now() - startedMs);
      }
      return times;
    }),
  );
}

const JOB_WITHIN_MS = 10_000;

async function admin(url: string, method: 'GET' | 'POST', path: string, json?: object) {
  const { body, statusCode } = await request(url + path, {
    method,
    headers: {
      authorization: `Bearer ${DEVELOPMENT_TOKENS.admin}`,
      ...(json && { 'content-type': 'application/json' }),
    },
    ...(json && { body: JSON.stringify(json) }),
  });
  const answer: unknown = await body.json();
  if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${JSON.stringify(answer)}`);
  return answer as { job_id: string; status: string };
}
