import type { Sandbox } from '../domain/sandbox.ts';
import type { SandboxEvent } from '../domain/event.ts';
import type { CallContext } from './context.ts';

/** The record of a sandbox with its history, oldest event first, for operators. Throws `SANDBOX_NOT_FOUND`. */
export type InspectSandbox = (
  sandboxId: string,
  context: CallContext,
) => Promise<{ sandbox: Sandbox; history: SandboxEvent[] }>;
