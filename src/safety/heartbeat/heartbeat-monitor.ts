import { type Clock, systemClock } from '../../clock.ts';
import type { RaiseAlert } from '../../domain/resilience/alert.ts';
import type { Heartbeat } from './heartbeat.ts';

/** What is known of one loop's life. */
export interface HeartbeatReport {
  isRunning: boolean;
  /** Running, and heard of within the time-out. What was never started is not healthy. */
  isHealthy: boolean;
  /** Epoch milliseconds; undefined before the first beat. */
  lastHeartbeatMs: number | undefined;
  secondsSinceHeartbeat: number | undefined;
  /** How often the monitor has looked at it. */
  totalChecks: number;
}

export interface HeartbeatMonitor {
  /** @param restMs How long it may rest without a sign of life, milliseconds; it comes on top of the time-out. */
  watch(name: string, heartbeat: Heartbeat, restMs?: number): void;
  /** Looks at every heartbeat once; alerts when one that was healthy no longer is, and when it is back. */
  check(): void;
  /** As of now, by name. */
  report(): Record<string, HeartbeatReport>;
}

export interface HeartbeatMonitorOptions {
  clock?: Clock;
  /** Silence for longer than this is a hang, milliseconds, > 0. */
  timeoutMs: number;
  alert?: RaiseAlert;
  /** Told the age of each heartbeat at each look, seconds. */
  onAge?: (name: string, seconds: number) => void;
}

/** Throws `RangeError` for a time-out that is not > 0. */
export function createHeartbeatMonitor(options: HeartbeatMonitorOptions): HeartbeatMonitor {
  const { clock = systemClock, timeoutMs, alert, onAge } = options;
  if (!(timeoutMs > 0)) throw new RangeError(`timeoutMs must be > 0, not ${timeoutMs}`);
  const watched = new Map<
    string,
    { heartbeat: Heartbeat; restMs: number; totalChecks: number; isHung: boolean }
  >();

  const isHealthy = ({ heartbeat, restMs }: { heartbeat: Heartbeat; restMs: number }): boolean => {
    const ageMs = heartbeat.ageMs();
    return heartbeat.isRunning && ageMs !== undefined && ageMs <= timeoutMs + restMs;
  };

  return {
    watch(name, heartbeat, restMs = 0) {
      watched.set(name, { heartbeat, restMs, totalChecks: 0, isHung: false });
    },

    check() {
      for (const [name, entry] of watched) {
        const { heartbeat } = entry;
        entry.totalChecks++;
        const ageMs = heartbeat.ageMs();
        if (ageMs !== undefined) onAge?.(name, ageMs / 1000);
        const isHung = heartbeat.isRunning && !isHealthy(entry);
        if (isHung !== entry.isHung) {
          entry.isHung = isHung;
          alert?.({
            task: name,
            reason: isHung ? 'heartbeat_hung' : 'heartbeat_back',
            severity: isHung ? 'error' : 'info',
            context: { seconds_since_heartbeat: toSeconds(ageMs), timeout_seconds: timeoutMs / 1000 },
          });
        }
      }
    },

    report() {
      const reports = [...watched].map(([name, entry]) => {
        const { heartbeat, totalChecks } = entry;
        const ageMs = heartbeat.ageMs();
        const report: HeartbeatReport = {
          isRunning: heartbeat.isRunning,
          isHealthy: isHealthy(entry),
          lastHeartbeatMs: ageMs === undefined ? undefined : Math.round(clock.nowMs() - ageMs),
          secondsSinceHeartbeat: toSeconds(ageMs),
          totalChecks,
        };
        return [name, report] as const;
      });
      return Object.fromEntries(reports);
    },
  };
}

const toSeconds = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : Math.round(ms) / 1000;
