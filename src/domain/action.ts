import type { Quota } from './quota.ts';

/**
 * Every action of the broker that passes a guard, and whether it can be undone. The class is part of the type: an action
 * that is not in this list does not compile.
 */
export const ACTIONS = {
  csp_delete: 'irreversible',
  row_purge: 'irreversible',
  bulk_delete: 'irreversible',
  stale_purge: 'irreversible',
  external_call: 'irreversible',
  lease_grant: 'reversible',
  lease_state: 'reversible',
  sandbox_state: 'reversible',
  audit_write: 'reversible',
} as const satisfies Record<string, 'irreversible' | 'reversible'>;

export type Action = keyof typeof ACTIONS;
export type IrreversibleAction = {
  [A in Action]: (typeof ACTIONS)[A] extends 'irreversible' ? A : never;
}[Action];
export type ReversibleAction = Exclude<Action, IrreversibleAction>;

export const IRREVERSIBLE_ACTIONS: readonly IrreversibleAction[] = (Object.keys(ACTIONS) as Action[]).filter(
  (action): action is IrreversibleAction => ACTIONS[action] === 'irreversible',
);

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
  lease_grant: 'allocate',
  csp_delete: 'csp_delete',
  bulk_delete: 'bulk_delete',
};
