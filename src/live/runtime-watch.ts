import { type RuntimeCheck, worstStatus } from '../domain/runtime-check.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RaiseAlert } from '../usecases/alert.ts';

/** The last look at what the promises rest on in the store. */
export interface RuntimeWatch {
  /** Looks now; callers of the same moment share one look. */
  look(): Promise<RuntimeCheck[]>;
  last(): RuntimeCheck[] | undefined;
}

const LOOK_WITHIN_MS = 20_000;

/** Alerts when a check becomes an error or worse, once, until it has been better in between. */
export function watchRuntime(
  check: (signal: AbortSignal) => Promise<RuntimeCheck[]>,
  alert: RaiseAlert,
): RuntimeWatch {
  let last: RuntimeCheck[] | undefined;
  let underWay: Promise<RuntimeCheck[]> | undefined;

  async function lookOnce(): Promise<RuntimeCheck[]> {
    const found = await check(AbortSignal.timeout(LOOK_WITHIN_MS));
    for (const { name, status, message } of found) {
      const before = last?.find((each) => each.name === name)?.status;
      if (!isNoGo(status) || before === status) continue;
      const severity = status === 'critical' ? 'critical' : 'error';
      alert({ task: 'runtime', reason: `runtime_${name}`, severity, context: { message } });
    }
    last = found;
    return found;
  }

  return {
    look() {
      underWay ??= lookOnce().finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
    last: () => last,
  };
}

/** What the checks come to for readiness: `critical` means that no lease is safe, `error` that somebody should look. */
export function runtimeReadiness(checks: readonly RuntimeCheck[] | undefined) {
  if (!checks) return { state: 'degraded' as const, detail: 'not looked at yet' };
  const worst = worstStatus(checks);
  if (!isNoGo(worst)) return { state: 'ok' as const };
  const names = checks.filter((check) => isNoGo(check.status)).map((check) => check.name);
  return {
    state: worst === 'critical' ? ('failing' as const) : ('degraded' as const),
    detail: names.join(', '),
  };
}

/** Says in the log what could be safer. What is worse than a warning is an alert by itself. */
export function logWarnings(checks: readonly RuntimeCheck[], logger: Pick<Logger, 'warn'>): void {
  const warnings = checks.filter(({ status }) => status === 'warning');
  if (warnings.length === 0) return;
  const messages = Object.fromEntries(warnings.map(({ name, message }) => [name, message]));
  logger.warn(
    { action: 'start', checks: messages },
    `the store could be safer: ${Object.keys(messages).join(', ')}`,
  );
}

const isNoGo = (status: RuntimeCheck['status']): boolean => status === 'error' || status === 'critical';
