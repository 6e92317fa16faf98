import type { z } from 'zod';
import { onOff, optional, variable, whole } from './values.ts';

const MAX_ACTIONS = 1_000_000_000;
const MAX_WINDOW_SECONDS = 604_800;

const actions = whole(0, MAX_ACTIONS);
const windowSeconds = whole(1, MAX_WINDOW_SECONDS);

/** The variables of the dry-run lock and the governor, in the order of `.env.example`. */
export const SAFETY_VARIABLES = {
  DRY_RUN: variable(
    onOff,
    'false',
    'true: nothing that cannot be undone is done; leases, returns and expiries go on, cleanups only say what they would delete',
  ),
  DRY_RUN_STRICT: variable(
    onOff,
    'false',
    'true: a dry run in which operators are refused with 403 instead of being told what would have been done',
  ),

  SANDBOX_API_LIMIT: variable(
    actions,
    '1000',
    'calls of one holder or one admin token in a window, on each replica',
  ),
  SANDBOX_API_WINDOW: variable(windowSeconds, '60', 'that window, seconds'),
  SANDBOX_ALLOCATE_LIMIT: optional(
    actions,
    'allocations of all holders in a window, on each replica; empty: no limit',
  ),
  SANDBOX_ALLOCATE_WINDOW: variable(windowSeconds, '60', 'that window, seconds'),
  SANDBOX_CSP_DELETE_LIMIT: variable(
    actions,
    '5000',
    'deletes at the provider in a window, over all replicas',
  ),
  SANDBOX_CSP_DELETE_WINDOW: variable(windowSeconds, '3600', 'that window, seconds'),
  SANDBOX_BULK_DELETE_LIMIT: variable(actions, '10', 'bulk deletes in a window, over all replicas'),
  SANDBOX_BULK_DELETE_WINDOW: variable(windowSeconds, '3600', 'that window, seconds'),
  SANDBOX_DATA_EXPORT_LIMIT: variable(actions, '10', 'exports of the pool in a window, over all replicas'),
  SANDBOX_DATA_EXPORT_WINDOW: variable(windowSeconds, '3600', 'that window, seconds'),
};

interface QuotaConfig {
  /** `null`: unlimited. */
  maxActions: number | null;
  windowSeconds: number;
}

export interface SafetyConfig {
  dryRun: { enabled: boolean; strict: boolean };
  quotas: Record<'api_call' | 'allocate' | 'csp_delete' | 'bulk_delete' | 'data_export', QuotaConfig>;
}

type Values = z.output<z.ZodObject<typeof SAFETY_VARIABLES>>;

export function readSafety(values: Values): SafetyConfig {
  const quota = (maxActions: number | undefined, seconds: number): QuotaConfig => ({
    maxActions: maxActions ?? null,
    windowSeconds: seconds,
  });
  return {
    // Whoever asks for the strict lock wants it locked.
    dryRun: { enabled: values.DRY_RUN || values.DRY_RUN_STRICT, strict: values.DRY_RUN_STRICT },
    quotas: {
      api_call: quota(values.SANDBOX_API_LIMIT, values.SANDBOX_API_WINDOW),
      allocate: quota(values.SANDBOX_ALLOCATE_LIMIT, values.SANDBOX_ALLOCATE_WINDOW),
      csp_delete: quota(values.SANDBOX_CSP_DELETE_LIMIT, values.SANDBOX_CSP_DELETE_WINDOW),
      bulk_delete: quota(values.SANDBOX_BULK_DELETE_LIMIT, values.SANDBOX_BULK_DELETE_WINDOW),
      data_export: quota(values.SANDBOX_DATA_EXPORT_LIMIT, values.SANDBOX_DATA_EXPORT_WINDOW),
    },
  };
}
