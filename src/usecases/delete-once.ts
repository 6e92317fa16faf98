import type { FailedSandbox, PendingSandbox } from '../domain/sandbox.ts';
import type { DeleteOutcome, Provider } from '../provider/provider.ts';
import type { Effects } from '../safety/effects.ts';

export type DeleteOnce = (
  sandbox: PendingSandbox | FailedSandbox,
  signal: AbortSignal,
  onProgress?: () => void,
) => Promise<DeleteOutcome>;

/**
 * Deletes a used sandbox at the provider, once for each time it was given back: what was deleted before a crash is not deleted
 * again, and after a crash in between the provider is asked first. The next lease's deletion is another effect.
 */
export function deleteOnce(deps: {
  provider: Pick<Provider, 'listSandboxes' | 'deleteSandbox'>;
  effects: Effects;
  /** How long one delete may take, milliseconds. */
  deleteTimeoutMs: number;
}): DeleteOnce {
  return async ({ id: sandboxId, externalId, name, lease, cleanup }, signal, onProgress) => {
    const entity = [sandboxId, lease.leaseId];
    const effect = { type: 'csp_delete', entity, generation: cleanup.requestedAt };
    const isGone = async (asking: AbortSignal) => {
      const { items } = await deps.provider.listSandboxes(asking);
      return items.some((item) => item.sandboxId === sandboxId) ? undefined : ('already_gone' as const);
    };
    const { result } = await deps.effects.once<DeleteOutcome>(
      effect,
      (running) => deps.provider.deleteSandbox({ sandboxId, externalId, name }, running, onProgress),
      { signal, ask: isGone, runLimitMs: deps.deleteTimeoutMs },
    );
    return result;
  };
}
