import type { SandboxEvent } from '../domain/event.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { SandboxStore } from '../store/sandboxes/sandboxes.ts';
import { sandboxNotFound } from './change-sandbox.ts';
import type { CallContext } from './context.ts';

/** The newest events that are shown; the table keeps all of 90 days. */
export const HISTORY_LIMIT = 200;

/** The record of a sandbox with its history, oldest event first, for operators. Throws `SANDBOX_NOT_FOUND`. */
export type InspectSandbox = (
  sandboxId: string,
  context: CallContext,
) => Promise<{ sandbox: Sandbox; history: SandboxEvent[] }>;

export function inspectSandbox(deps: {
  store: Pick<SandboxStore, 'get'>;
  readHistory: (sandboxId: string, limit: number, signal: AbortSignal) => Promise<SandboxEvent[]>;
}): InspectSandbox {
  return async (sandboxId, context) => {
    const [sandbox, history] = await Promise.all([
      deps.store.get(sandboxId, context.signal),
      deps.readHistory(sandboxId, HISTORY_LIMIT, context.signal),
    ]);
    if (!sandbox) throw sandboxNotFound(sandboxId);
    return { sandbox, history };
  };
}
