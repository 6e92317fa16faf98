import { randomUUID } from 'node:crypto';
import { alertRecord } from '../api/alerts.ts';
import { lineNews } from '../api/line.ts';
import { seriesColumns } from '../api/live.ts';
import type { RunbookOf } from '../api/runbooks.ts';
import type { StatusSources } from '../api/status.ts';
import type { Clock } from '../clock.ts';
import type { SandboxEvent } from '../domain/event.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { AlertEvents } from '../safety/index.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ListedPlace } from '../usecases/line/places.ts';
import { createChangeNews } from './change-news.ts';
import { createEventHub, type LiveEvent } from './event-hub.ts';
import { createJobNews, type JobNewsOptions } from './job-news.ts';
import { createLineNews, type KnownLine } from './line-news.ts';
import { createPoolSeries } from './pool-series.ts';
import { createStatusNews } from './status-news.ts';

export interface LiveOptions {
  clock: Clock;
  logger: Logger;
  events: AlertEvents;
  runbookOf: RunbookOf;
  /** Fifteen seconds; they make up the last six hours. */
  sampleIntervalMs?: number;
}

/** What there is to tell, once the broker has been put together. */
export interface LiveSources extends Pick<JobNewsOptions, 'listJobs' | 'progressOf'> {
  status: StatusSources;
  line: { wake: () => void; known: (limit: number) => Promise<KnownLine<ListedPlace>> };
}

const SAMPLE_INTERVAL_MS = 15_000;
const KEPT_MS = 6 * 3_600_000;
const TICK_MS = 500;
const LINE_TICK_MS = 1_000;
/** Of those who wait, the first so many are told of. */
const MAX_PLACES = 20;

/** What the console lives on: the last hours in memory, and events for whoever listens. */
export function createLiveFeed({ clock, logger, events, runbookOf, ...options }: LiveOptions) {
  const { sampleIntervalMs = SAMPLE_INTERVAL_MS } = options;
  const series = createPoolSeries({ clock, capacity: KEPT_MS / sampleIntervalMs });
  const hub = createEventHub({ name: randomUUID().slice(0, 8) });
  events.on('alert', (alert) => hub.publish({ type: 'alert', data: alertRecord(alert, runbookOf) }));
  const changes = createChangeNews(hub);
  let changesSoFar = 0;
  let onJob = (): void => undefined;

  return {
    series,
    /** This replica has changed a sandbox. */
    onSandboxChange(sandbox: Pick<Sandbox, 'id' | 'name'>, event?: SandboxEvent): void {
      changesSoFar++;
      changes.note(sandbox, event);
    },
    /** How many changes this replica has made so far. */
    sandboxChanges: () => changesSoFar,
    /** There is a new job. */
    onJob: () => onJob(),
    close: hub.close,
    connect(sources: LiveSources) {
      const { queueLength, poolStats } = sources.status;
      const status = createStatusNews(sources.status, hub);
      const jobs = createJobNews({ ...sources, queueLength, hub });
      const line = createLineNews({
        known: () => sources.line.known(MAX_PLACES),
        wake: sources.line.wake,
        listeners: () => hub.size,
        announce: hub.announce,
        record: lineNews,
      });
      onJob = jobs.wake;

      function sample(): void {
        series.sample(poolStats()?.counts);
        hub.announce({ type: 'sample', data: seriesColumns(series.samples().slice(-1)) });
      }

      /** An outage is said once, and not twice a second. */
      let isTold = false;
      const warn = (error: unknown) => {
        if (isTold) return;
        isTold = true;
        logger.warn(
          { action: 'live', outcome: 'error', err: error },
          'the console cannot be told of jobs for now',
        );
      };
      /** From memory: it goes on while the store is out of reach, which is when it matters most. */
      const tellFromMemory = async () => {
        changes.tick();
        status.tick();
      };
      const tellJobs = async (signal: AbortSignal) => {
        if ((await jobs.tick(signal)) === 'looked') isTold = false;
      };
      return {
        /** What the routes serve. */
        routes: {
          series,
          sampleIntervalMs,
          events: hub,
          /** What a new stream begins with. */
          greeting: (): LiveEvent[] => [
            status.event(),
            ...[jobs.last(), line.last()].filter((event) => event !== undefined),
          ],
        },
        /** To be done once, at the start; and over and over. */
        sample,
        chores: [
          { intervalMs: TICK_MS, run: tellFromMemory },
          { intervalMs: TICK_MS, run: tellJobs },
          { intervalMs: LINE_TICK_MS, run: line.tick },
          { intervalMs: sampleIntervalMs, run: async () => sample() },
        ],
        onChoreError: warn,
      };
    },
  };
}
