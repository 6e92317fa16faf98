import { EventEmitter } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { composeLive } from '../../src/compose/live.ts';
import { createEventParser, type ServerEvent } from '../../src/console/page/broker/event-parser.ts';
import type { SandboxEvent } from '../../src/domain/event.ts';
import type { RunningJob } from '../../src/domain/job.ts';
import type { AlertEvents } from '../../src/safety/alerts/hooks.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { ListedPlace } from '../../src/usecases/line/places.ts';
import type { ListJobs } from '../../src/usecases/list-jobs.ts';
import { fakeAppDeps, pendingJob } from '../support/broker/fake-app-deps.ts';
import { until } from '../support/until.ts';

const running: RunningJob = {
  ...pendingJob,
  status: 'running',
  claimId: 'c',
  worker: 'w',
  startedAtMs: 0,
  leaseUntilMs: 0,
};

const EVENT: SandboxEvent = {
  sandboxId: 'a',
  generation: 1,
  actor: 'track',
  action: 'allocate',
  to: 'allocated',
  atMs: 1_000,
  requestId: 'r',
  correlationId: 'c',
};

const NO_LINE = { known: async () => ({ places: [], waiting: 0 }), wake: () => undefined };

/** The news of a broker of which only the sources are there. */
function startLive(
  options: {
    total?: number;
    listJobs?: ListJobs;
    line?: Parameters<ReturnType<typeof composeLive>['connect']>[0]['line'];
  } = {},
) {
  const { deps, recorded } = fakeAppDeps();
  const events: AlertEvents = new EventEmitter();
  const logs: string[] = [];
  const destination = { write: (line: string) => logs.push(line) };
  const logger = createLogger({ level: 'warn', pretty: false, destination });
  const live = composeLive({
    clock: recorded.clock,
    logger,
    events,
    runbookOf: (reason) => `/handbook#${reason}`,
    sampleIntervalMs: 30,
  });
  const { total = 15, listJobs = async () => ({ jobs: [running] }), line = NO_LINE } = options;
  const counts = {
    available: total - 10,
    allocated: 4,
    pending_deletion: 3,
    deletion_failed: 2,
    stale: 1,
    cooling: 0,
    quarantined: 0,
  };
  const news = live.connect({
    status: { ...deps.status, queueLength: () => 0, poolStats: () => ({ counts, total, asOfMs: 1_000 }) },
    listJobs,
    progressOf: () => ({ done: 1, total: 3 }),
    line,
  });
  news.start();
  onTestFinished(async () => {
    live.close();
    await news.stop();
  });
  const listen = () => {
    const heard: ServerEvent[] = [];
    const parse = createEventParser((event) => heard.push(event));
    const stream = news.routes.events.open(news.routes.greeting());
    stream?.setEncoding('utf8').on('data', parse);
    const first = (type: string) =>
      until(() => heard.find((event) => event.type === type), { what: `${type} to be told` });
    return { stream, heard, first: async (type: string) => JSON.parse((await first(type)).data) };
  };
  return { live, events, listen, logs };
}

it('tells each sample of the pool to whoever draws a chart of it', async () => {
  const sample = await startLive().listen().first('sample');
  expect(sample).toMatchObject({ at: [expect.any(Number)], available: [5], stale: [1], p95_ms: [null] });
});

it('tells how far the jobs under way here have come', async () => {
  const { jobs } = await startLive().listen().first('jobs');
  expect(jobs).toMatchObject([{ status: 'running', progress: { done: 1, total: 3 } }]);
});

it('names the sandboxes that changed, or says that they are too many to be named', async () => {
  const { live, listen } = startLive();
  const few = listen();
  for (const id of ['a', 'b', 'a']) live.onSandboxChange({ id, name: id });
  expect(await few.first('sandboxes')).toEqual({ changed: ['a', 'b'], more: false, events: [] });
  const many = listen();
  for (let id = 0; id < 5_000; id++) live.onSandboxChange({ id: `sbx-${id}`, name: 'x' });
  const told = await many.first('sandboxes');
  expect([told.changed.length, told.more]).toEqual([100, true]);
});

it('tells whoever listens what became of sandboxes, of no more than anybody reads', async () => {
  const { live, listen } = startLive();
  const event = { ...EVENT, sandboxId: 'a', to: 'allocated' as const };
  live.onSandboxChange({ id: 'a', name: 'lab-a' }, event);
  const audience = listen();
  expect(await audience.first('sandboxes')).toMatchObject({ changed: ['a'], events: [] });
  const later = listen();
  for (let index = 0; index < 60; index++)
    live.onSandboxChange({ id: `${index}`, name: 'lab-b' }, { ...event, sandboxId: `${index}` });
  const { events, changed } = await later.first('sandboxes');
  expect([events.length, changed.length]).toEqual([50, 60]);
  expect(events[0]).toMatchObject({ sandbox_id: '0', name: 'lab-b', to: 'allocated', correlation_id: 'c' });
});

it('goes on with what it has in memory while the store does not answer, and complains once', async () => {
  const silent = startLive({
    listJobs: (_input, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  const stream = silent.listen();
  await stream.first('status');
  silent.live.onSandboxChange({ id: 'a', name: 'lab-a' });
  await stream.first('sandboxes');

  let refusals = 0;
  const refused = startLive({
    listJobs: async () => {
      refusals++;
      throw new Error('no store');
    },
  });
  refused.live.onJob();
  refused.listen();
  await until(() => refusals >= 3, { what: 'three refusals' });
  expect(refused.logs.filter((line) => line.includes('no store'))).toHaveLength(1);
});

const PLACE: ListedPlace = {
  ticket: 't1',
  priority: 0,
  keyPk: 'I#1',
  request: { principal: 'track', holder: 'ada', hash: 'h', explicitKey: false },
  by: { actor: 'track', requestId: 'r', correlationId: 'c' },
  attempt: 'a',
  joinedAtMs: 5_000,
  aliveUntilMs: 65_000,
  position: 1,
  etaSeconds: 60,
};

it('tells of the line to who looks, when it has changed, and looks at it for them alone', async () => {
  let wakes = 0;
  let asked = 0;
  let known: { places: ListedPlace[]; waiting: number } = { places: [], waiting: 0 };
  const { listen } = startLive({
    line: {
      wake: () => void wakes++,
      known: async (limit) => {
        asked = limit;
        return known;
      },
    },
  });
  expect([wakes, asked]).toEqual([0, 0]);
  const { heard, first } = listen();
  expect(await first('line')).toEqual({ waiting: 0, places: [] });
  expect([wakes, asked]).toEqual([1, 20]);
  known = { places: [PLACE], waiting: 1 };
  const told = () => heard.filter(({ type }) => type === 'line').map(({ data }) => JSON.parse(data));
  await expect
    .poll(() => told().at(-1), { timeout: 5_000 })
    .toMatchObject({
      waiting: 1,
      places: [{ holder: 'ada', position: 1, joined_at: 5, alive_until: 65, eta_seconds: 60 }],
    });
  // Whoever comes later is told at once.
  expect(await listen().first('line')).toMatchObject({ waiting: 1 });
});
