import type { Quota } from './quota.ts';

/**
 * Everything that the broker does and nobody can undo: it passes a guard. An action that is not in this list does not
 * compile. What can be undone needs no guard.
 */
export const ACTIONS = {
  csp_delete: 'irreversible',
  row_purge: 'irreversible',
  bulk_delete: 'irreversible',
  stale_purge: 'irreversible',
  external_call: 'irreversible',
} as const satisfies Record<string, 'irreversible'>;

export type Action = keyof typeof ACTIONS;
export const IRREVERSIBLE_ACTIONS = Object.keys(ACTIONS) as Action[];

/** The actions that must happen once, and have an effect record each. The others' own writes say whether they happened. */
export const RECORDED_ACTIONS = ['csp_delete', 'external_call'] as const satisfies Action[];

/**
 * What is rationed, and where it is counted. What cannot be undone is counted in the store, for all replicas together;
 * the rest by each replica for itself.
 */
export const QUOTA_SCOPES = {
  api_call: 'local',
  allocate: 'local',
  csp_delete: 'global',
  bulk_delete: 'global',
  data_export: 'global',
} as const satisfies Record<string, 'local' | 'global'>;

export type Resource = keyof typeof QUOTA_SCOPES;
export const RESOURCES = Object.keys(QUOTA_SCOPES) as Resource[];

/** The quotas with where each is counted. */
export const scopedQuotas = (quotas: Readonly<Record<Resource, Quota>>) =>
  Object.fromEntries(
    RESOURCES.map((resource) => [resource, { ...quotas[resource], scope: QUOTA_SCOPES[resource] }]),
  ) as Record<Resource, Quota & { scope: 'local' | 'global' }>;

/** The ration that an action uses up, unless its caller names another. The others are not rationed. */
export const RESOURCE_OF: Partial<Record<Action, Resource>> = {
  csp_delete: 'csp_delete',
  bulk_delete: 'bulk_delete',
};
