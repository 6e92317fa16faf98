import type { SandboxStatus } from './sandbox.ts';

/** One status change of a sandbox: who did what, when, and on whose behalf. */
export interface SandboxEvent {
  sandboxId: string;
  /** The sandbox's generation after the change. */
  generation: number;
  /** `track`, `admin`, or the loop's action. */
  actor: string;
  /** What was done, such as `allocate` or `cleanup_failed`. */
  action: string;
  /** Absent for the first event: the record was created. */
  from?: SandboxStatus | undefined;
  to: SandboxStatus;
  /** Epoch milliseconds. */
  atMs: number;
  requestId: string;
  correlationId: string;
  holder?: string | undefined;
  leaseId?: string | undefined;
  /** More on it, such as a delete's outcome or a provider error's kind. */
  detail?: string | undefined;
}
