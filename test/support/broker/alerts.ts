import type { Alert, RaisedAlert } from '../../../src/domain/resilience/alert.ts';

let made = 0;

/** An alert that was raised, with an id of its own. */
export function raised(overrides: Partial<RaisedAlert> = {}): RaisedAlert {
  made += 1;
  return {
    id: `alert-${String(made).padStart(6, '0')}`,
    atMs: Date.UTC(2030, 0, 1, 9) + made,
    task: 'sync',
    reason: 'shrink_guard',
    severity: 'critical',
    context: { missing: 3 },
    replica: 'replica-1',
    ...overrides,
  };
}

export const alertOf = (overrides: Partial<Alert> = {}): Alert => ({
  task: 'sync',
  reason: 'run_failed',
  severity: 'error',
  context: {},
  ...overrides,
});
