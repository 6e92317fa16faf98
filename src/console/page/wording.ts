import type { JobRecord, SandboxStatus } from './broker/records.ts';

/** How the console calls the statuses. */
export const STATUS_NAMES: Readonly<Record<SandboxStatus, string>> = {
  available: 'Free',
  allocated: 'Allocated',
  pending_deletion: 'Pending deletion',
  deletion_failed: 'Deletion failed',
  stale: 'Stale',
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

/** The date and time, in the reader's own zone. */
export const moment = (atSeconds: number): string =>
  new Date(atSeconds * 1_000).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** Counts of a run: `3 deleted, 1 failed`; what is zero is left out. */
export function countsText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts)
    .filter(([name, value]) => value !== 0 && name !== 'duration_ms')
    .map(([name, value]) => `${grouped(value)} ${name.replaceAll('_', ' ')}`);
  return parts.length === 0 ? 'nothing to do' : parts.join(', ');
}
