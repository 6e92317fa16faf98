import type { createInstruments } from './instruments.ts';
import {
  ALLOCATION_OUTCOMES,
  type AllocationOutcome,
  LEASE_CALL_OUTCOMES,
  type LeaseCallOutcome,
  MARK_OUTCOMES,
  type MarkOutcome,
  REPORT_OUTCOMES,
  type ReportOutcome,
} from './metric-labels.ts';

/** What labs call. All durations are seconds. */
export interface LeaseMetrics {
  /** An allocation's answer. `conflicts`: candidates lost to others on the way. */
  allocation(outcome: AllocationOutcome, seconds: number, conflicts: number): void;
  marked(outcome: MarkOutcome): void;
  leaseExtended(outcome: LeaseCallOutcome): void;
  heartbeat(outcome: LeaseCallOutcome): void;
  reported(outcome: ReportOutcome): void;
}

export const ALLOCATION_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1];

export function createLeaseMetrics({
  counter,
  histogram,
}: Pick<ReturnType<typeof createInstruments>, 'counter' | 'histogram'>): LeaseMetrics {
  const allocations = counter('broker_allocate_total', 'Answers to allocations', {
    outcome: ALLOCATION_OUTCOMES,
  });
  const allocationSeconds = histogram(
    'broker_allocation_latency_seconds',
    'Time from a call to allocate to its answer',
    ALLOCATION_BUCKETS,
    { outcome: ALLOCATION_OUTCOMES },
  );
  const conflicts = ['broker_allocate_conflicts', 'broker_allocate_conflicts_total'].map((name) =>
    counter(name, 'Candidates that an allocation lost to another'),
  );
  const idempotentHits = ['broker_allocate_idempotent_hits', 'broker_allocate_idempotent_hits_total'].map(
    (name) => counter(name, 'Allocations answered with the lease the key already had'),
  );
  const marks = counter('broker_deletion_marked_total', 'Answers to marks for deletion', {
    outcome: MARK_OUTCOMES,
  });
  const extensions = counter('broker_lease_extensions_total', 'Answers to holders who want longer leases', {
    outcome: LEASE_CALL_OUTCOMES,
  });
  const heartbeats = counter('broker_heartbeats_total', 'Answers to signs of life of holders', {
    outcome: LEASE_CALL_OUTCOMES,
  });

  const reports = counter('broker_reports_total', 'Answers to holders who report a sandbox as broken', {
    outcome: REPORT_OUTCOMES,
  });

  return {
    allocation(outcome, seconds, lost) {
      allocations.inc({ outcome });
      allocationSeconds.observe({ outcome }, seconds);
      for (const each of conflicts) each.inc({}, lost);
      if (outcome === 'idempotent') for (const each of idempotentHits) each.inc({});
    },
    marked: (outcome) => marks.inc({ outcome }),
    leaseExtended: (outcome) => extensions.inc({ outcome }),
    heartbeat: (outcome) => heartbeats.inc({ outcome }),
    reported: (outcome) => reports.inc({ outcome }),
  };
}
