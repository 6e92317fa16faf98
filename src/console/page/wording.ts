import type { JobRecord, SandboxStatus } from './broker/records.ts';

/** How the console calls the statuses. */
export const STATUS_NAMES: Readonly<Record<SandboxStatus, string>> = {
  available: 'Free',
  allocated: 'Allocated',
  pending_deletion: 'Pending deletion',
  deletion_failed: 'Deletion failed',
  stale: 'Stale',
  cooling: 'Cooling down',
  quarantined: 'Quarantined',
  deleted: 'Deleted',
};

export const RUN_NAMES: Readonly<Record<JobRecord['type'], string>> = {
  sync: 'Sync',
  cleanup: 'Cleanup',
  expire: 'Expire',
  purge: 'Purge',
};

/** How the console calls what the checks come to. */
export const VERDICT_NAMES = { go: 'GO', degraded: 'Serving, but', no_go: 'NO-GO' } as const;

/** `stale_since` → `Stale since`. */
export function sentence(word: string): string {
  const text = word.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A length of time in its two largest units: `2 h 5 min`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600)
    return `${Math.floor(whole / 60)} min${whole < 600 && whole % 60 > 0 ? ` ${whole % 60} s` : ''}`;
  if (whole < 86_400) {
    const minutes = Math.floor((whole % 3_600) / 60);
    return `${Math.floor(whole / 3_600)} h${minutes > 0 ? ` ${minutes} min` : ''}`;
  }
  const hours = Math.floor((whole % 86_400) / 3_600);
  return `${Math.floor(whole / 86_400)} d${hours > 0 ? ` ${hours} h` : ''}`;
}

/** `3 min ago`, `in 3 min`, `now`. */
export function fromNow(atSeconds: number, nowMs: number): string {
  const seconds = atSeconds - nowMs / 1_000;
  if (Math.abs(seconds) < 1.5) return 'now';
  return seconds < 0 ? `${span(-seconds)} ago` : `in ${span(seconds)}`;
}

/** Milliseconds in the unit that reads well. */
export function latency(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export const grouped = (value: number): string => value.toLocaleString('en-US');

/** Per minute: small rates with a digit behind the point. */
export const rate = (perMinute: number): string =>
  perMinute >= 10 || perMinute === 0 ? grouped(Math.round(perMinute)) : perMinute.toFixed(1);

const two = (value: number): string => String(value).padStart(2, '0');

/** The one clock of the console: 24 hours, in the reader's own zone. `14:05`, or `14:05:09`. */
export function timeOfDay(atSeconds: number, hasSeconds = true): string {
  const date = new Date(atSeconds * 1_000);
  const parts = [date.getHours(), date.getMinutes(), ...(hasSeconds ? [date.getSeconds()] : [])];
  return parts.map(two).join(':');
}

/** How far the reader's zone is off UTC at that moment: `UTC+1`, `UTC−3:30`. */
export function zoneAt(atSeconds: number): string {
  const minutes = -new Date(atSeconds * 1_000).getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest === 0 ? '' : `:${two(rest)}`}`;
}

/** The reader's zone by its name, and how far it is off UTC now: `Europe/Berlin (UTC+1)`. */
export function zoneName(): string {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const offset = zoneAt(Date.now() / 1_000);
  return timeZone === offset ? offset : `${timeZone} (${offset})`;
}

/** Date, time and zone: `2026-03-01 14:05:09 UTC+1`. */
export function moment(atSeconds: number): string {
  const date = new Date(atSeconds * 1_000);
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${timeOfDay(atSeconds)} ${zoneAt(atSeconds)}`;
}

/** Counts of a run: `3 deleted, 1 failed`; what is zero is left out. */
export function countsText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts)
    .filter(([name, value]) => value !== 0 && name !== 'duration_ms')
    .map(([name, value]) => `${grouped(value)} ${name.replaceAll('_', ' ')}`);
  return parts.length === 0 ? 'nothing to do' : parts.join(', ');
}

/** Times to choose from, seconds. */
export const DURATIONS = [
  ['900', '15 minutes'],
  ['3600', 'one hour'],
  ['14400', '4 hours'],
  ['86400', 'a day'],
] as const;
