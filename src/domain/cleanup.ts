import type { Cleanup, FailedSandbox, PendingSandbox } from './sandbox.ts';

/** A delete that nobody has asked for before, from `nowMs` on, epoch milliseconds. */
export const askedFor = (nowMs: number): Cleanup => ({
  ...dueAtOnce(Math.floor(nowMs / 1000), nowMs),
  untried: true,
});

const tried = ({ untried: _untried, ...rest }: Cleanup): Cleanup => rest;

/** To be deleted from `nowMs` on, epoch milliseconds; asked for at `requestedAt`, epoch seconds. */
export const dueAtOnce = (requestedAt: number, nowMs: number): Cleanup => ({
  requestedAt,
  attempts: 0,
  retries: 0,
  dueMs: nowMs,
});

/** Nobody is at it, and nothing is due. */
export const settled = ({
  untried: _untried,
  claimId: _claimId,
  dueMs: _dueMs,
  farewell: _farewell,
  ...rest
}: Cleanup): Cleanup => rest;

/** A cleaner sets out. Until `claimEndMs` no other may take it. */
export const claim = <T extends PendingSandbox | FailedSandbox>(
  seen: T,
  claimId: string,
  claimEndMs: number,
  nowMs: number,
): T =>
  ({
    ...seen,
    generation: seen.generation + 1,
    updatedAtMs: nowMs,
    cleanup: tried({ ...seen.cleanup, attempts: seen.cleanup.attempts + 1, claimId, dueMs: claimEndMs }),
  }) as T;

/**
 * The cleaner gives its claim back without having tried: due again at `dueMs`, no retry used up. `untried`: nor has
 * anybody before it.
 */
export const unclaim = <T extends PendingSandbox | FailedSandbox>(
  seen: T,
  { dueMs, untried }: Pick<Cleanup, 'untried'> & { dueMs: number },
  nowMs: number,
): T =>
  ({
    ...seen,
    generation: seen.generation + 1,
    updatedAtMs: nowMs,
    cleanup: {
      ...seen.cleanup,
      ...(untried && { untried }),
      attempts: seen.cleanup.attempts - 1,
      claimId: undefined,
      dueMs,
    },
  }) as T;
