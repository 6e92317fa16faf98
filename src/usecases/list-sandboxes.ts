import type { Sandbox, SandboxStatus } from '../domain/sandbox.ts';
import type { CallContext } from './context.ts';

export interface ListInput {
  /** Absent: the whole pool, tombstones left out. */
  status?: SandboxStatus | undefined;
  /** Only sandboxes whose name begins so. */
  prefix?: string | undefined;
  /** 1 to 100. */
  limit: number;
  /** From the previous page of the same query. */
  cursor?: string | undefined;
}

/** One page. A page may be short and still have a `cursor`; the walk is over when there is none. Throws `INVALID_CURSOR`. */
export type ListSandboxes = (
  input: ListInput,
  context: CallContext,
) => Promise<{ sandboxes: Sandbox[]; cursor?: string | undefined }>;
