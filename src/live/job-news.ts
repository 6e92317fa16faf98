import { jobRecord } from '../api/jobs.ts';
import type { RunProgress } from '../loops/run.ts';
import type { ListJobs } from '../usecases/list-jobs.ts';
import type { EventHub, LiveEvent } from './event-hub.ts';

export interface JobNewsOptions {
  listJobs: ListJobs;
  progressOf: (jobId: string) => RunProgress | undefined;
  /** Jobs that wait, as far as this replica knows. */
  queueLength: () => number;
  hub: Pick<EventHub, 'announce' | 'size'>;
}

/** The jobs are in the store: so often they are looked at while none is under way, in ticks. */
const IDLE_EVERY = 6;
const NEWEST = 10;

/** Tells of the newest jobs whenever they change. Reads nothing for nobody. */
export function createJobNews({ listJobs, progressOf, queueLength, hub }: JobNewsOptions) {
  let last: { text: string; event: LiveEvent } | undefined;
  let areOpen = false;
  let ticks = 0;
  let toldTo = 0;

  async function tell(signal: AbortSignal): Promise<void> {
    const context = { actor: 'admin', requestId: 'live', correlationId: 'live', signal };
    const { jobs } = await listJobs({ limit: NEWEST }, context);
    areOpen = jobs.some(({ status }) => status === 'pending' || status === 'running');
    const records = jobs.map((job) => {
      const progress = job.status === 'running' ? progressOf(job.id) : undefined;
      return { ...jobRecord(job), ...(progress && { progress }) };
    });
    const text = JSON.stringify(records);
    if (text === last?.text) return;
    last = { text, event: { type: 'jobs', data: { jobs: records } } };
    hub.announce(last.event);
  }

  return {
    /** What was told last. */
    last: (): LiveEvent | undefined => last?.event,
    /** There is a new job: how it fares is looked at more often. */
    wake(): void {
      areOpen = true;
    },
    /** Throws what the store answers; `looked`: it was asked. */
    async tick(signal: AbortSignal): Promise<'looked' | 'idle'> {
      const isSomebodyNew = hub.size > toldTo;
      toldTo = hub.size;
      if (toldTo === 0) return 'idle';
      const isIdle = !areOpen && !isSomebodyNew && queueLength() === 0;
      if (isIdle && ++ticks % IDLE_EVERY !== 0) return 'idle';
      await tell(signal);
      return 'looked';
    },
  };
}
