import type { ReadinessFinding } from '../domain/readiness.ts';
import { type ReadinessReport, verdictText } from '../safety/index.ts';
import type { Logger } from '../telemetry/logger.ts';
import { READINESS_CHECKS } from '../telemetry/metric-labels.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { SHUTTING_DOWN } from './readiness-checks.ts';

/** Tells each report to the metrics and the log. */
export function tellReadiness(deps: {
  metrics: Pick<Metrics, 'readiness'>;
  logger: Pick<Logger, 'info' | 'warn'>;
  isShuttingDown: () => boolean;
}): (report: ReadinessReport) => void {
  return (report) => {
    for (const name of READINESS_CHECKS) deps.metrics.readiness(name, report.checks[name]?.state ?? 'ok');
    const failed = Object.entries(report.checks).filter(([, finding]) => finding.state !== 'ok');
    const isExpected =
      report.verdict === 'go' || report.refusal === 'POOL_NOT_SYNCED' || deps.isShuttingDown();
    deps.logger[isExpected ? 'info' : 'warn'](
      { action: 'readiness', outcome: report.verdict, failed: Object.fromEntries(failed) },
      verdictText(report),
    );
  };
}

/**
 * A report for `/readyz`: served or not, and each check with its reason. What fails for every replica at once takes none
 * of them out of service.
 */
export const toReadyAnswer = ({ verdict, reasons, refusal, checks }: ReadinessReport) => ({
  verdict,
  reasons,
  refusal,
  staysInService: Object.values(checks).every((each) => each.state !== 'failing' || each.isShared),
  checks: Object.fromEntries(Object.entries(checks).map(([name, each]) => [name, checkText(each)])),
});

function checkText(finding: ReadinessFinding): string {
  switch (finding.state) {
    case 'ok':
      return 'ok';
    case 'degraded':
      return `degraded: ${finding.detail}`;
    case 'failing':
      return finding.detail === SHUTTING_DOWN ? SHUTTING_DOWN : `error: ${finding.detail}`;
  }
}
