import type { Sandbox } from '../../domain/sandbox.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { notOwner, sandboxNotFound } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';

/** The record of a sandbox for its holder. Throws `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `STORE_UNAVAILABLE`. */
export type GetSandbox = (
  input: { sandboxId: string; holder: string },
  context: CallContext,
) => Promise<Sandbox>;

export function getSandbox(deps: { store: Pick<SandboxStore, 'get'> }): GetSandbox {
  return async ({ sandboxId, holder }, context) => {
    const sandbox = await deps.store.get(sandboxId, context.signal);
    if (!sandbox) throw sandboxNotFound(sandboxId);
    if (!('lease' in sandbox) || sandbox.lease?.holder !== holder) throw notOwner(sandboxId);
    return sandbox;
  };
}
