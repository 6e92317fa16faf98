import type { OpenListing } from '../domain/listed.ts';
import type { ProviderErrorKind } from '../domain/provider-error.ts';

/** What is needed to delete a sandbox at the provider. */
export interface ProviderSandbox {
  sandboxId: string;
  /** The provider's own id for it (CSP: `id`, whose last `/`-separated part is the account's uuid). */
  externalId: string;
  name: string;
  /** Throws once the right to delete it is over: asked right before each request is sent. */
  assertInTime?: (() => void) | undefined;
}

/**
 * How a delete ended: `destroyed` it is gone, `accepted` it will be, `recycled` the provider cleaned it and it can be
 * leased again, `already_gone` the provider did not know it any more. Any of them may be listed for a while yet.
 */
export type DeleteOutcome = 'destroyed' | 'accepted' | 'recycled' | 'already_gone';

/** A complete inventory, its receiver's own. Entries that cannot be a sandbox (no id) are counted, not hidden. */
export interface Inventory {
  items: OpenListing;
  /** Entries of the right kind that had no usable id. */
  invalid: number;
}

/** The far inventory of sandboxes. All calls throw {@link ProviderError} and nothing else, `signal` aborts included. */
export interface Provider {
  readonly name: 'csp' | 'simulated';
  /**
   * The complete inventory, or an error; never half of it. `onProgress`: told that a call that takes long is still alive,
   * where it has more than one step.
   */
  listSandboxes(signal: AbortSignal, onProgress?: () => void): Promise<Inventory>;
  deleteSandbox(
    sandbox: ProviderSandbox,
    signal: AbortSignal,
    onProgress?: () => void,
  ): Promise<DeleteOutcome>;
  close(): Promise<void>;
}

const UNANSWERED: ReadonlySet<ProviderErrorKind> = new Set(['timeout', 'network', 'aborted']);

/** A provider call that did not work. The message never contains a token or a response body. */
export class ProviderError extends Error {
  readonly kind: ProviderErrorKind;
  readonly status: number | undefined;
  /** From `Retry-After`, where the provider sent one. */
  readonly retryAfterMs: number | undefined;
  /** No answer came: what was sent may be under way at the provider still. */
  readonly mayBeUnderWay: boolean;

  constructor(
    kind: ProviderErrorKind,
    message: string,
    options: { status?: number; retryAfterMs?: number; mayBeUnderWay?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'ProviderError';
    this.kind = kind;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
    this.mayBeUnderWay = options.mayBeUnderWay ?? UNANSWERED.has(kind);
  }
}

/** Told about every provider call, for metrics. `outcome` is `success` or the error's kind. */
export type ProviderObserver = (
  operation: 'list' | 'delete',
  outcome: 'success' | ProviderErrorKind,
  seconds: number,
) => void;
