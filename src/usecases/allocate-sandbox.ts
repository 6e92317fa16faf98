import type { CallContext } from './context.ts';

export interface AllocateInput {
  /** All track tokens are one principal, so rotating them changes nothing. */
  principal: string;
  holder: string;
  lab?: string | undefined;
  namePrefix?: string | undefined;
  /** The caller's `Idempotency-Key`; absent: the holder is the key. */
  idempotencyKey?: string | undefined;
}

/** What a holder gets. Times are epoch seconds. */
export interface GrantedLease {
  sandboxId: string;
  name: string;
  externalId: string;
  allocatedAt: number;
  expiresAt: number;
  sfdcAccountId?: string | undefined;
}

export interface AllocateResult {
  lease: GrantedLease;
  /** True when the key already had this lease. */
  replayed: boolean;
  /** Candidates lost to others before one was won. */
  conflicts: number;
}

export type AllocateSandbox = (input: AllocateInput, context: CallContext) => Promise<AllocateResult>;
