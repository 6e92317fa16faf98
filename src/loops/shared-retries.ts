import type { LoopOptions } from './loop.ts';

/**
 * Work that calls the provider: what others have tried before goes on here, and what was tried here is told. `share` deals
 * with its own failures.
 */
export const sharingRetries =
  <Options>(
    share: (signal: AbortSignal) => Promise<void>,
    work: LoopOptions<Options>['work'],
  ): LoopOptions<Options>['work'] =>
  async (options, context, onProgress) => {
    await share(context.signal);
    try {
      return await work(options, context, onProgress);
    } finally {
      await share(context.signal);
    }
  };
