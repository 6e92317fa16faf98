import { type StatusSources, statusRecord } from '../api/status.ts';
import type { EventHub, LiveEvent } from './event-hub.ts';

/** What has not changed is told again, so that ages do not grow without need. */
const REPEAT_MS = 10_000;

/** Tells the status whenever it has changed, and now and then. */
export function createStatusNews(sources: StatusSources, hub: Pick<EventHub, 'announce' | 'size'>) {
  let last = { text: '', atMs: 0 };
  /** As of now. */
  const event = (): LiveEvent => ({ type: 'status', data: statusRecord(sources) });

  return {
    event,
    tick(): void {
      if (hub.size === 0) return;
      const { uptime, heartbeat, readiness, governor, ...rest } = statusRecord(sources);
      const text = JSON.stringify([rest, readiness?.checks]);
      const nowMs = performance.now();
      if (text === last.text && nowMs - last.atMs < REPEAT_MS) return;
      last = { text, atMs: nowMs };
      hub.announce(event());
    },
  };
}
