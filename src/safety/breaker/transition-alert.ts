import type { Alert } from '../../domain/resilience/alert.ts';
import type { BreakerState } from '../../domain/resilience/breaker.ts';
import type { Transition } from './shared-breaker.ts';

const REASONS: Record<BreakerState, string> = {
  open: 'breaker_opened',
  half_open: 'breaker_half_open',
  closed: 'breaker_closed',
};

/** What is told of a breaker that changed its state, for hooks of every kind: log, metric, event, webhook. */
export function transitionAlert({ name, from, to, cause, why }: Transition): Alert {
  const isReopened = from === 'half_open' && to === 'open';
  return {
    task: name,
    reason: isReopened ? 'breaker_reopened' : REASONS[to],
    // One alert for one outage: that a probe failed, too, is no news. A limit is the provider's right.
    severity:
      to !== 'open' || isReopened
        ? 'info'
        : cause === 'calls' && why !== 'rate_limited'
          ? 'error'
          : 'warning',
    context: { from, to, cause, ...(why !== undefined && { why }) },
  };
}
