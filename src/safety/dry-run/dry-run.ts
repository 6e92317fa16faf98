import { type Clock, systemClock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { type Redact, redaction } from '../redacted.ts';
import { type Actions, isIrreversible } from './actions.ts';

export const DRY_RUN_STATUSES = ['dry_run_blocked', 'executed', 'error'] as const;
export type DryRunStatus = (typeof DRY_RUN_STATUSES)[number];

/** One irreversible action that was asked for, and what became of it. */
export interface DryRunEntry<A extends string = string> {
  /** Epoch milliseconds. */
  atMs: number;
  action: A;
  status: DryRunStatus;
  /** Redacted. */
  args: Readonly<Record<string, unknown>>;
}

/** What a blocked action gives instead of a result. */
export interface DryRunResult<A extends string = string> {
  dry_run: true;
  action: A;
  result: null;
}

type Args = Readonly<Record<string, unknown>>;

/**
 * Keeps what cannot be undone from being done, and remembers what was asked for. Everything throws a `RangeError` for an
 * action that is not among its own.
 */
export interface DryRunLock<A extends string = string> {
  readonly enabled: boolean;
  /** Whoever asks is refused with `DRY_RUN_LOCKED` instead of being told what would have been done. */
  readonly strict: boolean;
  isIrreversible(action: A): boolean;
  /** Whether an action must not be executed: never for a reversible one. */
  blocks(action: A): boolean;
  /**
   * Calls `call` unless the action is blocked; then a strict lock throws `DRY_RUN_LOCKED`. What cannot be undone is
   * logged with `args`, redacted, and with what became of it. Throws what `call` throws.
   */
  run<T>(action: A, call: () => Promise<T>, args?: Args): Promise<T | DryRunResult<A>>;
  record(entry: { action: A; status: DryRunStatus; args?: Args | undefined }): void;
  /** The last 1,000 entries, the oldest first; `action`: only those of it. */
  log(filter?: { action?: A | undefined }): DryRunEntry<A>[];
  /** Actions blocked since the start. */
  readonly blockedCount: number;
}

export interface DryRunOptions<A extends string = string> {
  actions: Actions<A>;
  /** On unless told otherwise: whoever forgets to say so deletes nothing. */
  enabled?: boolean;
  strict?: boolean;
  clock?: Clock;
  redact?: Redact;
  /** Told about every action that was blocked. */
  onBlocked?: (action: A) => void;
}

const LOG_SIZE = 1_000;

/** A lock for one process. It cannot be opened or closed while the process runs. */
export function createDryRunLock<A extends string>(options: DryRunOptions<A>): DryRunLock<A> {
  const { actions, clock = systemClock, redact = redaction() } = options;
  const { enabled = true, strict = false, onBlocked } = options;
  /** A ring: once it is full, `next` is the place of the oldest entry. */
  const ring: DryRunEntry<A>[] = [];
  let next = 0;
  let blockedCount = 0;

  const lock: DryRunLock<A> = {
    enabled,
    strict: enabled && strict,
    isIrreversible: (action) => isIrreversible(actions, action),
    blocks: (action) => isIrreversible(actions, action) && enabled,
    async run(action, call, args) {
      refuseIfLocked(lock, action, args);
      if (lock.blocks(action)) {
        lock.record({ action, status: 'dry_run_blocked', args });
        return dryRunResult(action);
      }
      const log = (status: DryRunStatus) => {
        if (lock.isIrreversible(action)) lock.record({ action, status, args });
      };
      try {
        const result = await call();
        log('executed');
        return result;
      } catch (error) {
        log('error');
        throw error;
      }
    },
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
  return lock;
}

export const dryRunResult = <A extends string>(action: A): DryRunResult<A> => ({
  dry_run: true,
  action,
  result: null,
});

/** Whether what `run` of a lock gave is word of a blocked action, and no result. */
export const isDryRun = (result: unknown): result is DryRunResult =>
  typeof result === 'object' && result !== null && 'dry_run' in result && result.dry_run === true;

/**
 * For an operator's call whose work is `action`. Throws `DRY_RUN_LOCKED` under a strict lock, which remembers it; under
 * any other it does nothing: the work itself is guarded.
 */
export function refuseIfLocked<A extends string>(
  lock: Pick<DryRunLock<A>, 'strict' | 'blocks' | 'record'>,
  action: A,
  args?: Args,
): void {
  if (!lock.strict || !lock.blocks(action)) return;
  lock.record({ action, status: 'dry_run_blocked', args });
  throw new BrokerError(
    'DRY_RUN_LOCKED',
    `This would do what cannot be undone (${action}): it is a dry run.`,
    {
      details: { action },
    },
  );
}
