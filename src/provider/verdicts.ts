import type { ProviderErrorKind } from '../domain/provider-error.ts';
import type { Trip } from '../domain/resilience/breaker.ts';
import { type Classify, classify, type Health, healthOf, tripOf } from '../safety/index.ts';
import { ProviderError } from './provider.ts';

const CLIENT_ERRORS: ReadonlySet<ProviderErrorKind> = new Set(['rejected', 'rate_limited', 'unauthorized']);

/** What a provider's error says about trying again: its kind decides, because only that is the provider's own word. */
export const classifyCall: Classify = (error) => {
  if (!(error instanceof ProviderError)) return classify(error);
  const { kind, retryAfterMs: afterMs } = error;
  if (kind === 'aborted') return { retry: false };
  if (CLIENT_ERRORS.has(kind) && !(kind === 'rate_limited' && afterMs !== undefined)) return { retry: false };
  return afterMs === undefined ? { retry: true } : { retry: true, afterMs };
};

/** One delete at a time for one sandbox: what may be under way at the provider still is not sent again for now. */
export const classifyDelete: Classify = (error) =>
  error instanceof ProviderError && error.mayBeUnderWay ? { retry: false } : classifyCall(error);

/** What a provider's error says about the provider. */
export function healthOfCall(error: unknown): Health {
  if (!(error instanceof ProviderError)) return healthOf(error);
  switch (error.kind) {
    case 'aborted':
      return 'ignored';
    case 'rejected':
      // Refused before anything was sent: the far side had no part in it.
      return error.status === undefined ? 'ignored' : 'answered';
    case 'rate_limited':
      return 'answered';
    default:
      // With `unauthorized` it answers, but nobody is served: that ends when somebody sees to the token. A 404 with a
      // proxy's page is a `bad_response`: its status is not the provider's word.
      return 'failure';
  }
}

/** To the breaker of deletes a limit is a reason to come again later, like any other. */
export const healthOfDelete = (error: unknown): Health =>
  error instanceof ProviderError && error.kind === 'rate_limited' ? 'failure' : healthOfCall(error);

/** What a provider that fails so is said to suffer from, and when it wants to be asked again. */
export function tripOfCall(error: unknown): Trip {
  if (!(error instanceof ProviderError)) return tripOf(error);
  const { kind, retryAfterMs } = error;
  const why = kind === 'rate_limited' || kind === 'unauthorized' ? kind : 'outage';
  return retryAfterMs === undefined ? { why } : { why, retryAfterMs };
}
