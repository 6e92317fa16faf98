import type { Alert, RaiseAlert } from '../domain/resilience/alert.ts';

/** What use cases and loops know of alerts: how one is raised. */
export type { Alert, RaiseAlert };
