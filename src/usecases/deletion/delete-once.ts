import type { FailedSandbox, PendingSandbox } from '../../domain/sandbox.ts';
import { type DeleteOutcome, type Provider, ProviderError } from '../../provider/provider.ts';
import type { SideEffects } from '../../safety/index.ts';

/** `seems_gone`: it was done, or asked after, by a cleaner that did not live to write down what it learnt. */
export type DeleteOnce = (
  sandbox: PendingSandbox | FailedSandbox,
  /** Throws once the right to delete it is over. */
  assertInTime: () => void,
  signal: AbortSignal,
  onProgress?: () => void,
) => Promise<DeleteOutcome | 'seems_gone'>;

/**
 * Deletes a used sandbox at the provider, once for each time it was given back: what was deleted before a crash is not deleted
 * again, and after a crash in between the provider is asked first. The next lease's deletion is another effect.
 */
export function deleteOnce(deps: {
  provider: Pick<Provider, 'listSandboxes' | 'deleteSandbox'>;
  effects: SideEffects;
  /** How long one delete may take, milliseconds. */
  deleteTimeoutMs: number;
}): DeleteOnce {
  return async ({ id: sandboxId, externalId, name, lease, cleanup }, assertInTime, signal, onProgress) => {
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
    const { result, replayed } = await deps.effects.once(effect, remove, {
      signal,
      ask: isGone,
      runLimitMs: deps.deleteTimeoutMs,
      mayHaveHappened: (error) => error instanceof ProviderError && error.mayBeUnderWay,
    });
    if (isAccepted) return 'accepted';
    // Neither one listing nor another's memory is proof: both may be of the time before it went.
    return replayed && result === 'already_gone' ? 'seems_gone' : result;
  };
}
