import { type Config, configSecrets } from '../config/index.ts';
import { standardOutput } from '../telemetry/log-output.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The log on standard output. `endLogs` is for the process's end. */
export function composeLog(
  config: Config,
  { logDropped }: Pick<Metrics, 'logDropped'>,
): { logger: Logger; endLogs: () => void } {
  const isTerminal = process.stdout.isTTY === true;
  const output = standardOutput({
    sync: isTerminal,
    onDropped: logDropped,
    onResumed: (dropped) =>
      logger.warn({ action: 'log', dropped }, 'nobody read the log for a while, and lines are lost'),
  });
  const logger: Logger = createLogger({
    level: config.logLevel,
    pretty: isTerminal,
    colours: isTerminal,
    destination: output,
    secrets: configSecrets(config),
  });
  return { logger, endLogs: output.endNow };
}
