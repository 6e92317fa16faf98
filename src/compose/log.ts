import { describeChanges, describeConfig } from '../config/description.ts';
import { type Config, configSecrets } from '../config/index.ts';
import { warningsOf } from '../config/warnings.ts';
import { type LogOutput, standardOutput } from '../telemetry/log-output.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The log, on standard output if nowhere else. `endLogs` is for the process's end. */
export function composeLog(
  config: Config,
  { logDropped }: Pick<Metrics, 'logDropped'>,
  elsewhere?: LogOutput,
): { logger: Logger; endLogs: () => void } {
  const isTerminal = elsewhere === undefined && process.stdout.isTTY === true;
  const output =
    elsewhere ??
    standardOutput({
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

/** The first lines of the log: who starts, how it is configured, and what of that may surprise. */
export function announceStart(
  config: Config,
  logger: Logger,
  self: { version: string; replica: string },
): void {
  logger.info({ action: 'start', ...self, config: describeChanges(config) }, 'starting');
  logger.debug({ action: 'start', config: describeConfig(config) }, 'the whole configuration');
  for (const { text, fields } of warningsOf(config)) logger.warn({ action: 'start', ...fields }, text);
}
