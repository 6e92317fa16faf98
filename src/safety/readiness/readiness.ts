import { type Clock, systemClock } from '../../clock.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import type { ReadinessFinding, ReadinessState, Verdict } from '../../domain/readiness.ts';
import { limitTime, untilAborted } from '../../time-limit.ts';

export interface ReadinessCheck {
  name: string;
  /** What a check that throws or takes too long, or says only `false`, comes to; `failing` unless told otherwise. */
  otherwise?: Exclude<ReadinessState, 'ok'>;
  /** 5,000 unless given. */
  timeoutMs?: number;
  /** What callers are refused with while it is failing; `STORE_UNAVAILABLE` by default. */
  refusal?: ErrorCode;
  check: (signal: AbortSignal) => ReadinessFinding | boolean | Promise<ReadinessFinding | boolean>;
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
  /** One more check, from the next round on. Throws a `RangeError` for a name that another has. */
  register(check: ReadinessCheck): void;
  /** Carries all checks out, at once, each within its time; callers of the same moment share one round. */
  runAll(): Promise<ReadinessReport>;
  /** The last round's report. */
  last(): ReadinessReport | undefined;
  /** By the last round: nothing failed. False before the first. */
  isReady(): boolean;
  /** The last round in a word for each check: `true` unless it failed or limits what is served. */
  status(): { ready: boolean; checks: Record<string, boolean> };
}

export interface ReadinessOptions {
  checks?: readonly ReadinessCheck[];
  clock?: Clock;
  /** Told when the verdict changes or other checks come out badly than before, the first time included. */
  onChange?: (report: ReadinessReport) => void;
}

const TIMEOUT_MS = 5_000;

/** Throws a `RangeError` for two checks of one name. */
export function createReadiness(options: ReadinessOptions = {}): Readiness {
  const { clock = systemClock, onChange } = options;
  const checks: ReadinessCheck[] = [];
  const register = (check: ReadinessCheck): void => {
    if (checks.some(({ name }) => name === check.name)) {
      throw new RangeError(`there is a check ${check.name} already`);
    }
    checks.push(check);
  };
  options.checks?.forEach(register);
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
    if (before === undefined || statesOf(before) !== statesOf(report)) onChange?.(report);
    return report;
  }

  return {
    register,
    runAll() {
      underWay ??= round().finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
    last: () => last,
    isReady: () => last !== undefined && last.verdict !== 'no_go',
    status: () => ({
      ready: last !== undefined && last.verdict !== 'no_go',
      checks: Object.fromEntries(
        checks.map(({ name }) => [name, last?.checks[name]?.state === 'ok'] as const),
      ),
    }),
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

async function carryOut(each: ReadinessCheck): Promise<ReadinessFinding> {
  const { name, check, timeoutMs = TIMEOUT_MS, otherwise = 'failing' } = each;
  const time = limitTime(timeoutMs);
  try {
    const finding = await untilAborted(Promise.resolve(check(time.signal)), time.signal);
    if (typeof finding !== 'boolean') return finding;
    return finding ? { state: 'ok' } : { state: otherwise, detail: `${name} says no` };
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
