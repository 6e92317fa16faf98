import { styleText } from 'node:util';
import type { JobStatus } from '../../domain/job.ts';
import type { ReadinessState, Verdict } from '../../domain/readiness.ts';
import type { AlertSeverity } from '../../domain/resilience/alert.ts';
import type { BreakerState } from '../../domain/resilience/breaker.ts';
import type { CheckStatus } from '../../domain/runtime-check.ts';
import type { SandboxStatus } from '../../domain/sandbox.ts';

/** What a word means to whoever reads it; each has one colour everywhere. */
export type Tone = 'good' | 'warning' | 'bad' | 'busy' | 'quiet';

/** A word with its tone. It is never cut. */
export interface Toned {
  text: string;
  tone: Tone;
}

const COLORS = { good: 'green', warning: 'yellow', bad: 'red', busy: 'blue', quiet: 'gray' } as const;

export const isToned = (value: unknown): value is Toned =>
  typeof value === 'object' && value !== null && 'tone' in value && 'text' in value;

/** In its colour where standard output is a terminal that has some; `NO_COLOR` and `FORCE_COLOR` are heard. */
export const colored = ({ text, tone }: Toned): string => styleText(COLORS[tone], text);

const SANDBOXES: Readonly<Record<SandboxStatus, Tone>> = {
  available: 'good',
  allocated: 'busy',
  pending_deletion: 'warning',
  deletion_failed: 'bad',
  stale: 'quiet',
  cooling: 'quiet',
  quarantined: 'warning',
  deleted: 'quiet',
};
const VERDICTS: Readonly<Record<Verdict, Toned>> = {
  go: { text: 'GO', tone: 'good' },
  degraded: { text: 'serving, but', tone: 'warning' },
  no_go: { text: 'NO-GO', tone: 'bad' },
};
const JOBS: Readonly<Record<JobStatus, Tone>> = {
  pending: 'quiet',
  running: 'busy',
  completed: 'good',
  failed: 'bad',
};
const SEVERITIES: Readonly<Record<AlertSeverity, Tone>> = {
  info: 'quiet',
  warning: 'warning',
  error: 'bad',
  critical: 'bad',
};
const CHECKS: Readonly<Record<ReadinessState | CheckStatus, Tone>> = {
  ok: 'good',
  degraded: 'warning',
  failing: 'bad',
  warning: 'warning',
  error: 'bad',
  critical: 'bad',
};
const BREAKERS: Readonly<Record<BreakerState, Tone>> = { closed: 'good', half_open: 'warning', open: 'bad' };

/** A newer broker may have words that this program does not know: they are told as they are. */
const tonedBy =
  (tones: Readonly<Record<string, Tone>>) =>
  (word: string): Toned | string => {
    const tone = tones[word];
    return tone === undefined ? word : { text: word, tone };
  };

/** How the broker stands, in the words that it has everywhere. */
export const verdictWord = (verdict: Verdict | undefined): Toned =>
  verdict === undefined ? { text: 'not known yet', tone: 'quiet' } : VERDICTS[verdict];

export const sandboxStatus = tonedBy(SANDBOXES);
export const jobStatus = tonedBy(JOBS);
export const severity = tonedBy(SEVERITIES);
export const breakerState = tonedBy(BREAKERS);
/** Of a check, whichever: of readiness, of the store, of the doctor. */
export const checkState = tonedBy(CHECKS);
