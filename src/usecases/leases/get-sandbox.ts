import type { Sandbox } from '../../domain/sandbox.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { notOwner, sandboxNotFound } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';

/**
 * The record of a sandbox for its holder; who got it while it waited is its holder once it was told of that. Throws
 * `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `STORE_UNAVAILABLE`.
 */
export type GetSandbox = (
  input: { sandboxId: string; holder: string },
  context: CallContext,
) => Promise<Sandbox>;

export function getSandbox(deps: { store: Pick<SandboxStore, 'get'> }): GetSandbox {
  return async ({ sandboxId, holder }, context) => {
    const sandbox = await deps.store.get(sandboxId, context.signal);
    if (!sandbox) throw sandboxNotFound(sandboxId);
    const lease = 'lease' in sandbox ? sandbox.lease : undefined;
    if (lease?.holder !== holder || lease.collectBy !== undefined) throw notOwner(sandboxId);
    return sandbox;
  };
}
