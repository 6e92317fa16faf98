import { randomUUID } from 'node:crypto';
import { alertRecord } from '../api/alerts.ts';
import { jobRecord } from '../api/jobs.ts';
import { lineNews } from '../api/line.ts';
import { changeRecord, seriesColumns } from '../api/live.ts';
import type { RunbookOf } from '../api/runbooks.ts';
import { type StatusSources, statusRecord } from '../api/status.ts';
import type { Clock } from '../clock.ts';
import type { SandboxEvent } from '../domain/event.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { LiveRoutesDeps } from '../http/routes/live.ts';
import { createEventHub, type LiveEvent } from '../live/event-hub.ts';
import { createLineNews } from '../live/line-news.ts';
import { createPoolSeries } from '../live/pool-series.ts';
import type { RunProgress } from '../loops/run.ts';
import { createTicker } from '../loops/ticker.ts';
import type { AlertEvents } from '../safety/index.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ListJobs } from '../usecases/list-jobs.ts';
import type { Core } from './core.ts';

interface LiveOptions {
  clock: Clock;
  logger: Logger;
  events: AlertEvents;
  runbookOf: RunbookOf;
  /** Fifteen seconds; they make up the last six hours. */
  sampleIntervalMs?: number;
}

/** What there is to tell, once the broker has been put together. */
interface LiveSources {
  status: StatusSources;
  listJobs: ListJobs;
  progressOf: (jobId: string) => RunProgress | undefined;
  line: Pick<Core['line'], 'wake'> & { known: (limit: number) => ReturnType<Core['line']['known']> };
}

const SAMPLE_INTERVAL_MS = 15_000;
const KEPT_MS = 6 * 3_600_000;
const TICK_MS = 500;
/** The jobs are in the store: so often they are looked at while none is under way, in ticks. */
const IDLE_JOBS_EVERY = 6;
const NEWEST_JOBS = 10;
/** What has not changed is told again, so that ages do not grow without need. */
const REPEAT_STATUS_MS = 10_000;
/** Ids in one event; beyond, it only says that there are more. */
const MAX_CHANGED = 100;
/** What became of sandboxes, in one event: more than anybody reads, and little enough to be kept for who comes back. */
const MAX_TOLD = 50;
/** Of those who wait, the first so many are told of. */
const MAX_PLACES = 20;
const LINE_TICK_MS = 1_000;

export type Live = ReturnType<typeof composeLive>;

/** What the console lives on: the last hours in memory, and events for whoever listens; nothing runs before `start()`. */
export function composeLive({ clock, logger, events, runbookOf, ...options }: LiveOptions) {
  const { sampleIntervalMs = SAMPLE_INTERVAL_MS } = options;
  const series = createPoolSeries({ clock, capacity: KEPT_MS / sampleIntervalMs });
  const hub = createEventHub({ name: randomUUID().slice(0, 8) });
  events.on('alert', (alert) => hub.publish({ type: 'alert', data: alertRecord(alert, runbookOf) }));

  const changed = new Set<string>();
  let told: ReturnType<typeof changeRecord>[] = [];
  let isMore = false;
  let changes = 0;
  let areJobsOpen = false;

  return {
    series,
    /** This replica has changed a sandbox. */
    onSandboxChange({ id, name }: Pick<Sandbox, 'id' | 'name'>, event?: SandboxEvent): void {
      changes++;
      if (changed.size < MAX_CHANGED) changed.add(id);
      else if (!changed.has(id)) isMore = true;
      // Nobody is there to read it, or can.
      if (event !== undefined && hub.size > 0 && told.length < MAX_TOLD) told.push(changeRecord(name, event));
    },
    /** How many changes this replica has made so far. */
    sandboxChanges: () => changes,
    /** There is a new job: how it fares is looked at more often. */
    onJob(): void {
      areJobsOpen = true;
    },
    close: hub.close,
    connect(sources: LiveSources) {
      let lastStatus = { text: '', atMs: 0 };
      let lastJobs: { text: string; event: LiveEvent } | undefined;
      let ticks = 0;
      let listeners = 0;
      let areJobsKnown = true;

      const statusEvent = (): LiveEvent => ({ type: 'status', data: statusRecord(sources.status) });

      function tellStatus(): void {
        const { uptime, heartbeat, readiness, governor, ...rest } = statusRecord(sources.status);
        const text = JSON.stringify([rest, readiness?.checks]);
        const nowMs = performance.now();
        if (text === lastStatus.text && nowMs - lastStatus.atMs < REPEAT_STATUS_MS) return;
        lastStatus = { text, atMs: nowMs };
        hub.announce(statusEvent());
      }

      async function tellJobs(signal: AbortSignal): Promise<void> {
        const context = { actor: 'admin', requestId: 'live', correlationId: 'live', signal };
        const { jobs } = await sources.listJobs({ limit: NEWEST_JOBS }, context);
        areJobsOpen = jobs.some(({ status }) => status === 'pending' || status === 'running');
        const records = jobs.map((job) => {
          const progress = job.status === 'running' ? sources.progressOf(job.id) : undefined;
          return { ...jobRecord(job), ...(progress && { progress }) };
        });
        const text = JSON.stringify(records);
        if (text === lastJobs?.text) return;
        lastJobs = { text, event: { type: 'jobs', data: { jobs: records } } };
        hub.announce(lastJobs.event);
      }

      function tellChanges(): void {
        if (changed.size === 0) return;
        hub.publish({ type: 'sandboxes', data: { changed: [...changed], more: isMore, events: told } });
        changed.clear();
        told = [];
        isMore = false;
      }

      /** From memory: it goes on while the store is out of reach, which is when it matters most. */
      async function tick(): Promise<void> {
        tellChanges();
        if (hub.size === 0) return;
        tellStatus();
      }

      async function lookAtJobs(signal: AbortSignal): Promise<void> {
        const isSomebodyNew = hub.size > listeners;
        listeners = hub.size;
        if (listeners === 0) return;
        const isIdle = !areJobsOpen && !isSomebodyNew && sources.status.queueLength() === 0;
        if (isIdle && ++ticks % IDLE_JOBS_EVERY !== 0) return;
        await tellJobs(signal);
        areJobsKnown = true;
      }

      const line = createLineNews({
        known: () => sources.line.known(MAX_PLACES),
        wake: sources.line.wake,
        listeners: () => hub.size,
        announce: hub.announce,
        record: lineNews,
      });

      function sample(): void {
        series.sample(sources.status.poolStats()?.counts);
        hub.announce({ type: 'sample', data: seriesColumns(series.samples().slice(-1)) });
      }

      /** An outage is said once, and not twice a second. */
      const warn = (error: unknown) => {
        if (!areJobsKnown) return;
        areJobsKnown = false;
        logger.warn(
          { action: 'live', outcome: 'error', err: error },
          'the console cannot be told of jobs for now',
        );
      };
      const chores = [
        createTicker(TICK_MS, tick, warn),
        createTicker(TICK_MS, lookAtJobs, warn),
        createTicker(LINE_TICK_MS, line.tick, warn),
        createTicker(sampleIntervalMs, async () => sample(), warn),
      ];
      const routes: LiveRoutesDeps['live'] = {
        series,
        sampleIntervalMs,
        events: hub,
        greeting: () => [
          statusEvent(),
          ...[lastJobs?.event, line.last()].filter((event) => event !== undefined),
        ],
      };
      return {
        routes,
        start() {
          sample();
          for (const chore of chores) chore.start();
        },
        async stop() {
          await Promise.all(chores.map((chore) => chore.stop()));
        },
      };
    },
  };
}
