import { BrokerError } from '../domain/errors.ts';
import { eventOf } from '../domain/event.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { SandboxStore } from '../store/sandboxes/sandboxes.ts';
import type { CallContext } from './context.ts';

/** What is to be done with a sandbox as it stands: change it (and record the `action`, if it has a name), or leave it and answer. */
export type Decision<Next extends Sandbox, Answer> =
  | { next: Next; action?: string; detail?: string }
  | { answer: Answer };

/** A writer that loses this often in a row is in a fight that waiting settles better. */
const MAX_TRIES = 10;

/**
 * Reads a sandbox, lets `decide` say what becomes of it, and writes that if nobody was faster; else reads and decides
 * again. Returns what was written, or the answer. Throws `SANDBOX_NOT_FOUND`, `BUSY`, and what `decide` throws.
 */
export async function changeSandbox<Next extends Sandbox, Answer>(
  store: Pick<SandboxStore, 'get' | 'write'>,
  sandboxId: string,
  context: CallContext,
  decide: (seen: Sandbox) => Decision<Next, Answer>,
): Promise<Next | Answer> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const seen = await store.get(sandboxId, context.signal);
    if (!seen) throw sandboxNotFound(sandboxId);
    const decision = decide(seen);
    if ('answer' in decision) return decision.answer;
    const { next, action, detail } = decision;
    const event = action === undefined ? undefined : eventOf(seen, next, action, context, detail);
    if (await store.write({ seen, next, event }, context.signal)) return next;
  }
  throw new BrokerError('BUSY', 'The sandbox is being changed by others at this moment. Try again.', {
    retryAfterSeconds: 1,
  });
}

export const sandboxNotFound = (sandboxId: string) =>
  new BrokerError('SANDBOX_NOT_FOUND', `There is no sandbox ${sandboxId}.`);

/** The holder is never named: who else uses the pool is nobody's business. */
export const notOwner = (sandboxId: string) =>
  new BrokerError('NOT_SANDBOX_OWNER', `The sandbox ${sandboxId} is not yours.`);
