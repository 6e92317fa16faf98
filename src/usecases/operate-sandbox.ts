import type { Sandbox } from '../domain/sandbox.ts';
import type { CallContext } from './context.ts';

/**
 * An operator's hand on one sandbox. `releaseSandbox` marks a leased one for deletion whoever holds it;
 * `retryDeletion` gives a failed deletion a fresh set of attempts, due at once.
 * Both throw `SANDBOX_NOT_FOUND` and `INVALID_STATE` (with the status in the details); repeating is harmless.
 */
export type OperateSandbox = (sandboxId: string, context: CallContext) => Promise<Sandbox>;
