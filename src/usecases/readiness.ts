import type { Clock } from '../clock.ts';
import { limitTime, untilAborted } from '../time-limit.ts';

/**
 * How a check came out. `degraded`: no-go for an operator, but tracks can be served; `failing`: they cannot, and the
 * replica takes itself out of service.
 */
export const READINESS_STATES = ['ok', 'degraded', 'failing'] as const;
export type ReadinessState = (typeof READINESS_STATES)[number];

export interface ReadinessFinding {
  state: ReadinessState;
  /** Why it is not ok, in words for an operator; never an inner error's text. */
  detail?: string | undefined;
}

export interface ReadinessCheck {
  name: string;
  /** What a check that throws or takes too long comes to. */
  otherwise: Exclude<ReadinessState, 'ok'>;
  timeoutMs: number;
  check: (signal: AbortSignal) => ReadinessFinding | Promise<ReadinessFinding>;
}

/** Go or no-go, and why. */
export interface ReadinessReport {
  /** GO: every check is ok. */
  isReady: boolean;
  /** Tracks can be served: no check is failing. */
  isServing: boolean;
  /** Epoch milliseconds. */
  lastCheckMs: number;
  totalChecks: number;
  passedChecks: number;
  failedChecks: number;
  checks: Record<string, ReadinessFinding>;
}

export interface Readiness {
  /** Carries all checks out, at once, each within its time; callers of the same moment share one round. */
  evaluate(): Promise<ReadinessReport>;
  /** The last round's report. */
  last(): ReadinessReport | undefined;
}

/** `onChange` is told when GO becomes NO-GO or the other way round, the first time included. */
export function createReadiness(
  checks: readonly ReadinessCheck[],
  clock: Clock,
  onChange: (report: ReadinessReport) => void,
): Readiness {
  let last: ReadinessReport | undefined;
  let underWay: Promise<ReadinessReport> | undefined;

  async function round(): Promise<ReadinessReport> {
    const findings = await Promise.all(
      checks.map(async (each) => [each.name, await carryOut(each)] as const),
    );
    const passedChecks = findings.filter(([, finding]) => finding.state === 'ok').length;
    const report: ReadinessReport = {
      isReady: passedChecks === findings.length,
      isServing: findings.every(([, finding]) => finding.state !== 'failing'),
      lastCheckMs: clock.nowMs(),
      totalChecks: findings.length,
      passedChecks,
      failedChecks: findings.length - passedChecks,
      checks: Object.fromEntries(findings),
    };
    const before = last;
    last = report;
    if (before?.isReady !== report.isReady) onChange(report);
    return report;
  }

  return {
    evaluate() {
      underWay ??= round().finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
    last: () => last,
  };
}

async function carryOut({ check, timeoutMs, otherwise }: ReadinessCheck): Promise<ReadinessFinding> {
  const time = limitTime(timeoutMs);
  try {
    return await untilAborted(Promise.resolve(check(time.signal)), time.signal);
  } catch {
    return {
      state: otherwise,
      detail: time.signal.aborted ? `no answer within ${timeoutMs} ms` : 'the check failed',
    };
  } finally {
    time.clear();
  }
}
