import type { Sandbox } from '../domain/sandbox.ts';
import type { CallContext } from './context.ts';

/** The record of a sandbox for its holder. Throws `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `STORE_UNAVAILABLE`. */
export type GetSandbox = (input: { sandboxId: string; holder: string }, context: CallContext) => Promise<Sandbox>;
