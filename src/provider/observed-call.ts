import { ProviderError, type ProviderObserver } from './provider.ts';

/**
 * Runs one provider call, tells `observe` how it ended and how many seconds it took, and keeps the contract that
 * nothing but a {@link ProviderError} comes out: an error nobody foresaw means that the answer was not understood.
 */
export async function observedCall<T>(
  operation: 'list' | 'delete',
  observe: ProviderObserver | undefined,
  call: () => Promise<T>,
): Promise<T> {
  const startedAtMs = performance.now();
  const secondsSoFar = () => (performance.now() - startedAtMs) / 1000;
  let result: T;
  try {
    result = await call();
  } catch (error) {
    const failure =
      error instanceof ProviderError
        ? error
        : new ProviderError('bad_response', `${operation} failed unexpectedly`, { cause: error });
    observe?.(operation, failure.kind, secondsSoFar());
    throw failure;
  }
  observe?.(operation, 'success', secondsSoFar());
  return result;
}
