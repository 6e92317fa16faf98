import { BrokerError, type ErrorCode } from '../domain/errors.ts';
import type {
  AllocationOutcome,
  LeaseCallOutcome,
  MarkOutcome,
  ReportOutcome,
} from '../telemetry/metric-labels.ts';
import type { AllocateResult, GrantedLease } from '../usecases/leases/allocate-sandbox.ts';
import type { SeveralResult } from '../usecases/leases/allocate-several.ts';
import type { LeaseClaim } from '../usecases/leases/held-lease.ts';
import type { MarkResult } from '../usecases/leases/mark-for-deletion.ts';
import type { ReportInput, ReportResult } from '../usecases/leases/report-sandbox.ts';
import type { InLine } from '../usecases/line/wait-in-line.ts';
import { HTTP_STATUS, isTimeUp } from './error-handler.ts';
import type { CallOutcome } from './plugins/request-context.ts';

/** The part of the metrics that counts what labs do. */
export interface CallMetrics {
  /** @param conflicts Candidates lost to others on the way. */
  allocation(outcome: AllocationOutcome, seconds: number, conflicts: number): void;
  marked(outcome: MarkOutcome): void;
  leaseExtended(outcome: LeaseCallOutcome): void;
  heartbeat(outcome: LeaseCallOutcome): void;
  reported(outcome: ReportOutcome): void;
}

const ALLOCATION_REFUSALS: Partial<Record<ErrorCode, AllocationOutcome>> = {
  NO_SANDBOXES_AVAILABLE: 'no_sandboxes',
  LINE_FULL: 'line_full',
  PLACE_LOST: 'place_lost',
  IDEMPOTENCY_KEY_REUSED: 'conflict_key',
  POOL_NOT_SYNCED: 'busy',
  BUSY: 'busy',
};

const MARK_REFUSALS: Partial<Record<ErrorCode, MarkOutcome>> = {
  NOT_SANDBOX_OWNER: 'not_owner',
  SANDBOX_NOT_FOUND: 'not_found',
};

const LEASE_CALL_REFUSALS: Partial<Record<ErrorCode, LeaseCallOutcome>> = {
  LEASE_OVER: 'over',
  NOT_SANDBOX_OWNER: 'not_owner',
  SANDBOX_NOT_FOUND: 'not_found',
};

interface Observers {
  metrics: CallMetrics;
  tell: (outcome: CallOutcome) => void;
}

/** Runs one allocation, counts it, and tells its outcome. An error comes out as it was. */
export async function observeAllocation<Result extends AllocateResult | SeveralResult | InLine>(
  { metrics, tell, holder }: Observers & { holder: string },
  allocate: () => Promise<Result>,
): Promise<Result> {
  const startedAtMs = performance.now();
  let waitedMs = 0;
  const record = (outcome: AllocationOutcome, conflicts: number, fields: object) => {
    // How long somebody waits in line is no measure of the broker.
    const latencyMs = performance.now() - startedAtMs - waitedMs;
    metrics.allocation(outcome, latencyMs / 1000, conflicts);
    tell({ action: 'allocate', outcome, holder, conflicts, ...fields, ...waited(waitedMs) });
  };
  let result: Result;
  try {
    result = await allocate();
  } catch (error) {
    record(refusal(error, ALLOCATION_REFUSALS), 0, {});
    throw error;
  }
  if ('waitedMs' in result) waitedMs = result.waitedMs ?? 0;
  if ('ticket' in result) {
    record('waiting', 0, { position: result.position, waiting: result.waiting });
    return result;
  }
  record(result.replayed ? 'idempotent' : 'success', result.conflicts, whatItGot(result));
  return result;
}

const whatItGot = (result: AllocateResult | SeveralResult) =>
  'leases' in result
    ? { count: result.leases.length, sandbox_ids: result.leases.map(({ lease }) => lease.sandboxId) }
    : { sandbox_id: result.lease.sandboxId, lease_over: result.leaseOver };

/** {@link observeAllocation} for a sandbox that is given back. */
export async function observeMark(
  { metrics, tell, sandboxId, holder }: Observers & { sandboxId: string; holder: string },
  mark: () => Promise<MarkResult>,
): Promise<MarkResult> {
  const record = (outcome: MarkOutcome) => {
    metrics.marked(outcome);
    tell({ action: 'mark_for_deletion', outcome, sandbox_id: sandboxId, holder });
  };
  let result: MarkResult;
  try {
    result = await mark();
  } catch (error) {
    record(refusal(error, MARK_REFUSALS));
    throw error;
  }
  record(result.repeated ? 'repeated' : 'success');
  return result;
}

/** {@link observeMark} for all sandboxes of a key: each of them counts. */
export async function observeMarkAll(
  { metrics, tell, holder }: Observers & { holder: string },
  markAll: () => Promise<MarkResult[]>,
): Promise<MarkResult[]> {
  let results: MarkResult[];
  try {
    results = await markAll();
  } catch (error) {
    const outcome = refusal(error, MARK_REFUSALS);
    metrics.marked(outcome);
    tell({ action: 'mark_for_deletion', outcome, holder });
    throw error;
  }
  const outcomes = results.map(({ repeated }): MarkOutcome => (repeated ? 'repeated' : 'success'));
  for (const outcome of outcomes) metrics.marked(outcome);
  tell({
    action: 'mark_for_deletion',
    outcome: outcomes.includes('success') ? 'success' : 'repeated',
    sandbox_ids: results.map(({ sandboxId }) => sandboxId),
    holder,
  });
  return results;
}

/** {@link observeAllocation} for a sandbox that is reported as broken. */
export async function observeReport(
  {
    metrics,
    tell,
    sandboxId,
    holder,
    reason,
  }: Pick<Observers, 'tell'> &
    Pick<ReportInput, 'sandboxId' | 'holder' | 'reason'> & {
      metrics: Pick<CallMetrics, 'reported'>;
    },
  report: () => Promise<ReportResult>,
): Promise<ReportResult> {
  const record = (outcome: ReportOutcome, more: object) => {
    metrics.reported(outcome);
    tell({ action: 'report', outcome, sandbox_id: sandboxId, holder, reason, ...more });
  };
  let result: ReportResult;
  try {
    result = await report();
  } catch (error) {
    record(refusal(error, LEASE_CALL_REFUSALS), {});
    throw error;
  }
  const { replacement } = result;
  record(result.repeated ? 'repeated' : 'success', {
    ...(replacement?.type === 'served' && { replacement_id: replacement.lease.sandboxId }),
    ...(replacement?.type === 'waiting' && { position: replacement.inLine.position }),
  });
  return result;
}

/** {@link observeAllocation} for a holder's word on its running lease. */
export async function observeLeaseCall(
  action: 'extend' | 'heartbeat',
  {
    metrics,
    tell,
    claim,
  }: Pick<Observers, 'tell'> & {
    metrics: Pick<CallMetrics, 'leaseExtended' | 'heartbeat'>;
    claim: LeaseClaim;
  },
  call: () => Promise<GrantedLease>,
): Promise<GrantedLease> {
  const record = (outcome: LeaseCallOutcome, more: object) => {
    if (action === 'extend') metrics.leaseExtended(outcome);
    else metrics.heartbeat(outcome);
    tell({ action, outcome, sandbox_id: claim.sandboxId, holder: claim.holder, ...more });
  };
  let lease: GrantedLease;
  try {
    lease = await call();
  } catch (error) {
    record(refusal(error, LEASE_CALL_REFUSALS), {});
    throw error;
  }
  record('success', { expires_at: lease.expiresAt });
  return lease;
}

/** What a call that failed is counted as: what its caller has to mend is `refused`, whatever it is. */
function refusal<Outcome>(
  error: unknown,
  outcomes: Partial<Record<ErrorCode, Outcome>>,
): Outcome | 'refused' | 'error' {
  // The error handler answers both alike.
  const code = isTimeUp(error) ? 'BUSY' : error instanceof BrokerError ? error.code : 'INTERNAL';
  return outcomes[code] ?? (HTTP_STATUS[code] < 500 ? 'refused' : 'error');
}

/** The part of a call's time for which it stood in line. */
const waited = (waitedMs: number) => (waitedMs > 0 ? { waited_ms: Math.round(waitedMs) } : {});
