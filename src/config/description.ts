import { isDeepStrictEqual } from 'node:util';
import { describeAlertWebhook } from './alerts.ts';
import { type Config, loadConfig } from './index.ts';
import type { StoreConfig } from './store.ts';

/** The configuration without its secrets, for the start-up log. */
export function describeConfig(config: Config): Record<string, unknown> {
  const { trackTokens, adminTokens, viewerTokens, store, provider, alertWebhook, misspelt, ...rest } = config;
  return {
    ...rest,
    trackTokenCount: trackTokens.length,
    adminTokenCount: adminTokens.length,
    viewerTokenCount: viewerTokens.length,
    store: describeStore(store),
    alertWebhook: describeAlertWebhook(alertWebhook),
    misspelt: misspelt.map(({ name }) => name),
    provider: provider.kind === 'csp' ? { ...provider, token: undefined } : provider,
  };
}

function describeStore(store: StoreConfig): Record<string, unknown> {
  if (store.kind !== 'endpoint') return store;
  const { credentials, ...rest } = store;
  return { ...rest, signedWith: credentials ? 'keys of the URL' : 'default chain' };
}

/** {@link describeConfig}, but only what is not as it would be without any configuration. */
export function describeChanges(config: Config): Record<string, unknown> {
  const defaults = describeConfig(loadConfig({}));
  return Object.fromEntries(
    Object.entries(describeConfig(config)).filter(
      ([name, value]) => !isDeepStrictEqual(value, defaults[name]),
    ),
  );
}
