import type { Clock } from '../../clock.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import type { ReadinessFinding, ReadinessState, Verdict } from '../../domain/readiness.ts';
import { limitTime, untilAborted } from '../../time-limit.ts';

export interface ReadinessCheck {
  name: string;
  /** What a check that throws or takes too long comes to. */
  otherwise: Exclude<ReadinessState, 'ok'>;
  timeoutMs: number;
  /** What callers are refused with while it is failing; `STORE_UNAVAILABLE` by default. */
  refusal?: ErrorCode;
  check: (signal: AbortSignal) => ReadinessFinding | Promise<ReadinessFinding>;
}

/** Go, serving with a but, or no-go, and why. */
export interface ReadinessReport {
  verdict: Verdict;
  /** Why it is not GO, what is failing first. */
  reasons: string[];
  /** What callers are refused with; there when the verdict is `no_go`. */
  refusal?: ErrorCode | undefined;
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

/** `onChange` is told when the verdict changes or other checks come out badly than before, the first time included. */
export function createReadiness(
  checks: readonly ReadinessCheck[],
  clock: Clock,
  onChange: (report: ReadinessReport) => void,
): Readiness {
  let last: ReadinessReport | undefined;
  let underWay: Promise<ReadinessReport> | undefined;

  async function round(): Promise<ReadinessReport> {
    const outcomes = await Promise.all(
      checks.map(async (each) => ({ ...each, finding: await carryOut(each) })),
    );
    const said = (state: ReadinessState) =>
      outcomes.flatMap(({ name, finding }) =>
        finding.state !== 'ok' && finding.state === state ? `${name}: ${finding.detail}` : [],
      );
    const failing = outcomes.filter(({ finding }) => finding.state === 'failing');
    const passedChecks = outcomes.filter(({ finding }) => finding.state === 'ok').length;
    const report: ReadinessReport = {
      verdict: failing[0] ? 'no_go' : passedChecks < outcomes.length ? 'degraded' : 'go',
      reasons: [...said('failing'), ...said('degraded')],
      refusal: failing[0] && (failing[0].refusal ?? 'STORE_UNAVAILABLE'),
      lastCheckMs: clock.nowMs(),
      totalChecks: outcomes.length,
      passedChecks,
      failedChecks: outcomes.length - passedChecks,
      checks: Object.fromEntries(outcomes.map(({ name, finding }) => [name, finding])),
    };
    const before = last;
    last = report;
    if (before === undefined || statesOf(before) !== statesOf(report)) onChange(report);
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

/** One line: the verdict, and why. */
export function verdictText({ verdict, reasons }: Pick<ReadinessReport, 'verdict' | 'reasons'>): string {
  switch (verdict) {
    case 'go':
      return 'GO';
    case 'degraded':
      return `Serving, but: ${reasons.join('; ')}`;
    case 'no_go':
      return `NO-GO: ${reasons.join('; ')}`;
  }
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

/** The same for two reports whose checks came out alike, whatever the words. */
const statesOf = ({ checks }: ReadinessReport): string =>
  Object.entries(checks)
    .map(([name, { state }]) => `${name} ${state}`)
    .join();
