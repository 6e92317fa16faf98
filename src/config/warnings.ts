import type { Config } from './index.ts';
import { DEVELOPMENT_TOKENS } from './variables.ts';

/** What a setting may surprise with, and what the log line says beside. */
export interface SettingWarning {
  text: string;
  fields?: Record<string, unknown>;
}

/** Which settings make this broker another than one would think. */
export function warningsOf(config: Config): SettingWarning[] {
  const { misspelt, dryRun, provider } = config;
  const tokens = { track: config.trackTokens, admin: config.adminTokens };
  return [
    ...misspelt.map(({ name, meant }) => ({
      text: `${name} is set, and no variable of the broker's: is ${meant} meant?`,
    })),
    ...(dryRun.enabled
      ? [
          {
            text: 'dry run: nothing that cannot be undone is done; sandboxes that are given back stay as they are',
            fields: { dry_run: true, dry_run_strict: dryRun.strict },
          },
        ]
      : []),
    ...(provider.kind === 'simulated'
      ? [
          {
            text: 'simulated provider: these sandboxes do not exist; set CSP_BASE_URL and CSP_API_TOKEN for real ones',
            fields: { pool_size: provider.poolSize },
          },
        ]
      : []),
    ...(['track', 'admin'] as const)
      .filter((role) => tokens[role].includes(DEVELOPMENT_TOKENS[role]))
      .map((role) => ({
        text: `development token: ${role}s call with "Authorization: Bearer ${DEVELOPMENT_TOKENS[role]}"`,
      })),
  ];
}
