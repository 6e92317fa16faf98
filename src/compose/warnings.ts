import type { Config } from '../config/index.ts';
import { DEVELOPMENT_TOKENS } from '../config/variables.ts';
import type { Logger } from '../telemetry/logger.ts';
import { describeChanges, describeConfig } from './description.ts';

/** The first lines of the log: who starts, how it is configured, and what of that may surprise. */
export function announceStart(
  config: Config,
  logger: Logger,
  self: { version: string; replica: string },
): void {
  logger.info({ action: 'start', ...self, config: describeChanges(config) }, 'starting');
  logger.debug({ action: 'start', config: describeConfig(config) }, 'the whole configuration');
  warnOfSettings(config, logger);
}

/** Says in the log which settings make this broker another than one would think. */
function warnOfSettings(config: Config, logger: Logger): void {
  for (const { name, meant } of config.misspelt) {
    logger.warn({ action: 'start' }, `${name} is set, and no variable of the broker's: is ${meant} meant?`);
  }
  if (config.dryRun.enabled) {
    logger.warn(
      { action: 'start', dry_run: true, dry_run_strict: config.dryRun.strict },
      'dry run: nothing that cannot be undone is done; sandboxes that are given back stay as they are',
    );
  }
  if (config.provider.kind === 'simulated') {
    logger.warn(
      { action: 'start', pool_size: config.provider.poolSize },
      'simulated provider: these sandboxes do not exist; set CSP_BASE_URL and CSP_API_TOKEN for real ones',
    );
  }
  const tokens = { track: config.trackTokens, admin: config.adminTokens };
  for (const role of ['track', 'admin'] as const) {
    if (!tokens[role].includes(DEVELOPMENT_TOKENS[role])) continue;
    logger.warn(
      { action: 'start' },
      `development token: ${role}s call with "Authorization: Bearer ${DEVELOPMENT_TOKENS[role]}"`,
    );
  }
}
