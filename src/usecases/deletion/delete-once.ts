import type { EffectRecords } from '../../domain/resilience/effect.ts';
import type { Cleanup, FailedSandbox, PendingSandbox } from '../../domain/sandbox.ts';
import { type DeleteOutcome, type Provider, ProviderError } from '../../provider/provider.ts';
import type { SideEffects } from '../../safety/index.ts';

/** `seems_gone`: it was done, or asked after, by a cleaner that did not live to write down what it learnt. */
export type DeleteOnce = (
  /** As it was before its claim. */
  sandbox: PendingSandbox | FailedSandbox,
  /** Throws once the right to delete it is over. */
  assertInTime: () => void,
  signal: AbortSignal,
  onProgress?: () => void,
) => Promise<DeleteOutcome | 'seems_gone'>;

/**
 * The records of effects that a claim stands for: it was granted to one, of something that nobody had set out to do before,
 * and what comes of it is written where the claim is.
 */
export const CLAIM_IS_RECORD: EffectRecords = {
  take: async (pk, { ttlMs }) => ({
    type: 'taken',
    hold: { pk, owner: '', fence: 1, isTakenOver: false, untilMs: Number.POSITIVE_INFINITY, ttlMs },
  }),
  isOver: () => false,
  complete: async () => true,
  fail: async () => true,
};

/**
 * Deletes a used sandbox at the provider, once for each time it was given back. The next lease's deletion is another effect.
 *
 *     untried ── claim ── delete ── end                             no record but the sandbox's own
 *                     └── crash, no answer: in doubt ── claim ── effect record ── ask ── delete ── end
 *                     └── it failed ─────────────────── claim ── effect record ───────── delete ── end
 *
 * So a first delete costs no effect record; whoever comes after somebody else knows by the sandbox that there was one. What
 * is known to be deleted is not deleted again, and where nobody knows, the provider is asked first.
 */
export function deleteOnce(deps: {
  provider: Pick<Provider, 'listSandboxes' | 'deleteSandbox'>;
  effects: SideEffects;
  /** By {@link CLAIM_IS_RECORD}: of those that nobody has tried before. */
  firstEffects: SideEffects;
  /** How long one delete may take, milliseconds. */
  deleteTimeoutMs: number;
}): DeleteOnce {
  return async (seen, assertInTime, signal, onProgress) => {
    const { id: sandboxId, externalId, name, lease, cleanup } = seen;
    const entity = [sandboxId, lease.leaseId];
    const effect = { type: 'csp_delete', entity, generation: cleanup.requestedAt };
    const isGone = async (asking: AbortSignal) => {
      const { items } = await deps.provider.listSandboxes(asking);
      return items.has(sandboxId) ? undefined : ('already_gone' as const);
    };
    let isAccepted = false;
    const remove = async (running: AbortSignal) => {
      assertInTime();
      const sandbox = { sandboxId, externalId, name, assertInTime };
      const outcome = await deps.provider.deleteSandbox(sandbox, running, onProgress);
      isAccepted = outcome === 'accepted';
      // What may be read by a replica of an older version is the weakest word that one knows.
      return outcome === 'accepted' ? 'already_gone' : outcome;
    };
    const effects = cleanup.untried ? deps.firstEffects : deps.effects;
    const { result, replayed } = await effects.once(effect, remove, {
      signal,
      ask: isGone,
      mayBeUnrecorded: !cleanup.untried && !isKnownToHaveFailed(cleanup),
      runLimitMs: deps.deleteTimeoutMs,
      mayHaveHappened: (error) => error instanceof ProviderError && error.mayBeUnderWay,
    });
    if (isAccepted) return 'accepted';
    // Neither one listing nor another's memory is proof: both may be of the time before it went.
    return replayed && result === 'already_gone' ? 'seems_gone' : result;
  };
}

/** Its last attempt had an answer, and failed; nobody has set out since. */
const isKnownToHaveFailed = ({ lastError, mayRunUntilMs, claimId }: Cleanup): boolean =>
  lastError !== undefined && mayRunUntilMs === undefined && claimId === undefined;
