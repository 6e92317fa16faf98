export const CHECK_STATUSES = ['ok', 'warning', 'error', 'critical'] as const;
export type CheckStatus = (typeof CHECK_STATUSES)[number];

/** What was found about one property of the store that the promises rest on. */
export interface RuntimeCheck {
  name: string;
  /** `error` and `critical` are no-go; `critical` means that leases are not safe, and takes the replica out of service. */
  status: CheckStatus;
  /** One sentence for an operator: what is so and, where it should not be, how to mend it. */
  message: string;
  details: Record<string, unknown>;
}

/** The worst of all. */
export const worstStatus = (checks: readonly RuntimeCheck[]): CheckStatus =>
  CHECK_STATUSES[Math.max(0, ...checks.map((check) => CHECK_STATUSES.indexOf(check.status)))] ?? 'ok';
