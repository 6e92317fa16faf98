import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { type Action, isIrreversible } from '../guard/action.ts';
import type { Redact } from '../redacted.ts';

export const DRY_RUN_STATUSES = ['dry_run_blocked', 'executed', 'error'] as const;
export type DryRunStatus = (typeof DRY_RUN_STATUSES)[number];

/** One irreversible action that was asked for, and what became of it. */
export interface DryRunEntry {
  /** Epoch milliseconds. */
  atMs: number;
  action: Action;
  status: DryRunStatus;
  /** Redacted. */
  args: Readonly<Record<string, unknown>>;
}

/** What a blocked action gives instead of a result. */
export interface DryRunResult {
  dry_run: true;
  action: Action;
  result: null;
}

/** Keeps what cannot be undone from being done, and remembers what was asked for. */
export interface DryRunLock {
  readonly enabled: boolean;
  /** Operators are refused with `DRY_RUN_LOCKED` instead of being told what would have been done. */
  readonly strict: boolean;
  /** Whether an action must not be executed: never for a reversible one. */
  blocks(action: Action): boolean;
  record(entry: {
    action: Action;
    status: DryRunStatus;
    args?: Readonly<Record<string, unknown>> | undefined;
  }): void;
  /** The last 1,000 entries, the oldest first; `action`: only those of it. */
  log(filter?: { action?: Action | undefined }): DryRunEntry[];
  /** Actions blocked since the start. */
  readonly blockedCount: number;
}

export interface DryRunOptions {
  clock: Clock;
  redact: Redact;
  /** On unless told otherwise: whoever forgets to say so deletes nothing. */
  enabled?: boolean;
  strict?: boolean;
  /** Told about every action that was blocked. */
  onBlocked?: (action: Action) => void;
}

const LOG_SIZE = 1_000;

/** A lock for one process. It cannot be opened or closed while the process runs. */
export function createDryRunLock(options: DryRunOptions): DryRunLock {
  const { clock, redact, enabled = true, strict = false, onBlocked } = options;
  /** A ring: once it is full, `next` is the place of the oldest entry. */
  const ring: DryRunEntry[] = [];
  let next = 0;
  let blockedCount = 0;
  return {
    enabled,
    strict: enabled && strict,
    blocks: (action) => enabled && isIrreversible(action),
    record({ action, status, args = {} }) {
      ring[next] = { atMs: clock.nowMs(), action, status, args: redact(args) };
      next = (next + 1) % LOG_SIZE;
      if (status !== 'dry_run_blocked') return;
      blockedCount++;
      onBlocked?.(action);
    },
    log({ action } = {}) {
      const inOrder = [...ring.slice(next), ...ring.slice(0, next)];
      return action === undefined ? inOrder : inOrder.filter((entry) => entry.action === action);
    },
    get blockedCount() {
      return blockedCount;
    },
  };
}

export const dryRunResult = (action: Action): DryRunResult => ({ dry_run: true, action, result: null });

/**
 * For an operator's call whose work is `action`. Throws `DRY_RUN_LOCKED` under a strict lock, which remembers it; under
 * any other it does nothing: the work itself is guarded.
 */
export function refuseIfLocked(
  lock: Pick<DryRunLock, 'strict' | 'blocks' | 'record'>,
  action: Action,
  args?: Readonly<Record<string, unknown>>,
): void {
  if (!lock.strict || !lock.blocks(action)) return;
  lock.record({ action, status: 'dry_run_blocked', args });
  throw new BrokerError(
    'DRY_RUN_LOCKED',
    `This would do what cannot be undone (${action}): the broker is in a dry run.`,
    {
      details: { action },
    },
  );
}
