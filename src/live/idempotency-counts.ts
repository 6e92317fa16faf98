import { KEYED_OUTCOMES, type KeyedOutcome } from '../domain/resilience/kept-answer.ts';
import type { AllocationOutcome } from '../telemetry/metric-labels.ts';

/** What has become of requests with a key on this replica since its start. */
export interface IdempotencyReport {
  /** Operators' requests, by what became of them. */
  requests: Readonly<Record<KeyedOutcome, number>>;
  /** `granted`: a lease under a new key; `replayed`: the lease the key had; `refused`: the key was another request's. */
  leases: { granted: number; replayed: number; refused: number };
}

export interface IdempotencyCounts {
  request(outcome: KeyedOutcome): void;
  allocation(outcome: AllocationOutcome): void;
  report(): IdempotencyReport;
}

export function createIdempotencyCounts(): IdempotencyCounts {
  const requests = Object.fromEntries(KEYED_OUTCOMES.map((outcome) => [outcome, 0])) as Record<
    KeyedOutcome,
    number
  >;
  const leases = { granted: 0, replayed: 0, refused: 0 };
  return {
    request(outcome) {
      requests[outcome]++;
    },
    allocation(outcome) {
      if (outcome === 'success') leases.granted++;
      if (outcome === 'idempotent') leases.replayed++;
      if (outcome === 'conflict_key') leases.refused++;
    },
    report: () => ({ requests: { ...requests }, leases: { ...leases } }),
  };
}
