import {
  type Breaker,
  BreakerOpenError,
  type Retry,
  type RetryPolicy,
  type RetryRunOptions,
} from '../safety/index.ts';
import { type Provider, ProviderError } from './provider.ts';
import { classifyCall, classifyDelete } from './verdicts.ts';

/** How far a call is retried; the retry's own policy where nothing is said. */
export type CallPolicy = Partial<RetryPolicy>;

export interface GuardedProviderDeps {
  provider: Provider;
  retry: Retry;
  listBreaker: Breaker;
  deleteBreaker: Breaker;
  listPolicy?: CallPolicy;
  /** Its deadline must be before the callers' own: a far side that hangs is a failure, a caller that gives up is none. */
  deletePolicy?: CallPolicy;
  /** Fires when the process stops: no delete is sent after that; it throws the signal's reason. */
  stopping?: AbortSignal;
}

/** The names of a provider's calls in logs, statistics and alerts. */
export const LIST_TASK = 'csp_list';
export const deleteTask = (sandboxId: string): string => `csp_delete:${sandboxId}`;

/**
 * A provider whose calls go through breaker → retry → the call. Beside the provider's own errors its calls throw
 * {@link BreakerOpenError}: then nothing was sent. A delete that fails is not the end of it: a cleaner comes again.
 */
export function createGuardedProvider(deps: GuardedProviderDeps): Provider {
  const { provider, retry, listBreaker, deleteBreaker } = deps;

  async function guarded<T>(
    breaker: Breaker,
    task: string,
    policy: Omit<RetryRunOptions, 'signal'>,
    call: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const retried = async (inner: AbortSignal): Promise<T> => {
      try {
        return await retry.run(task, async (_n, each) => call(each), { ...policy, signal: inner });
      } catch (error) {
        throw inner.aborted ? error : unlessGivenUp(error, task);
      }
    };
    try {
      return await breaker.execute(retried, signal);
    } catch (error) {
      if (error instanceof ProviderError || error instanceof BreakerOpenError) throw error;
      throw signal.aborted ? new ProviderError('aborted', `${task} was given up`, { cause: error }) : error;
    }
  }

  return {
    name: provider.name,
    listSandboxes: (signal, onProgress) =>
      guarded(
        listBreaker,
        LIST_TASK,
        { ...deps.listPolicy, onProgress, classify: classifyCall },
        (each) => provider.listSandboxes(each, onProgress),
        signal,
      ),
    deleteSandbox: (sandbox, signal, onProgress) =>
      guarded(
        deleteBreaker,
        deleteTask(sandbox.sandboxId),
        { ...deps.deletePolicy, resumable: true, onProgress, classify: classifyDelete },
        (each) => {
          // At the very last moment: a claim, its effect record and a breaker's look at the store all take their time.
          deps.stopping?.throwIfAborted();
          sandbox.assertInTime?.();
          return provider.deleteSandbox(sandbox, each, onProgress);
        },
        signal,
      ),
    close: () => provider.close(),
  };
}

/** Nobody but the deadline has given this call up: the far side was too slow. */
function unlessGivenUp(error: unknown, task: string): unknown {
  const isGivenUp = error instanceof ProviderError && error.kind === 'aborted';
  return isGivenUp
    ? new ProviderError('timeout', `${task} took too long, all attempts together`, { cause: error })
    : error;
}
