import type { SandboxStatus } from '../domain/sandbox.ts';
import type { CallContext } from './context.ts';

export interface MarkInput {
  sandboxId: string;
  holder: string;
}

export interface MarkResult {
  sandboxId: string;
  status: SandboxStatus;
  /** Epoch seconds of the first mark. */
  deletionRequestedAt: number;
  /** True when it was already marked. */
  repeated: boolean;
}

/** Throws `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `STORE_UNAVAILABLE`, `BUSY`. */
export type MarkForDeletion = (input: MarkInput, context: CallContext) => Promise<MarkResult>;
