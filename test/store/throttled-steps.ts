import { onTestFinished } from 'vitest';
import { context, startCore, type TestCore } from '../support/broker/core.ts';
import { type DynamoProxy, startDynamoProxy } from '../support/dynamo-proxy.ts';

/** How a caller's ask ended, and when, since all of them came. */
export interface Ending {
  code: string;
  afterMs: number;
  sandboxId?: string | undefined;
}

/** A pool behind a proxy, filled, with hints at hand, and nothing limited yet. */
export async function startThrottled(
  endpoint: string,
  options: { poolSize: number; buckets?: number; allocateDeadlineMs?: number },
): Promise<{ core: TestCore; proxy: DynamoProxy }> {
  const proxy = await startDynamoProxy(endpoint);
  onTestFinished(() => proxy.close());
  const core = await startCore(proxy.endpoint, options);
  onTestFinished(() => core.close());
  await core.readyList.refresh();
  proxy.clearCounts();
  core.calls.clear();
  return { core, proxy };
}

/** So many callers at once, each for itself; says how each ended: `leased`, or the code of what it was told. */
export async function askTogether(core: TestCore, callers: number, name = 'h'): Promise<Ending[]> {
  const startedMs = performance.now();
  return await Promise.all(
    Array.from({ length: callers }, async (_, index) => {
      const asked = core.useCases.allocateSandbox(
        { principal: 'track', holder: `${name}-${index}` },
        context(),
      );
      const ending = await asked.then(
        ({ lease }) => ({ code: 'leased', sandboxId: lease.sandboxId }),
        (error) => ({ code: String(error.code) }),
      );
      return { ...ending, afterMs: performance.now() - startedMs };
    }),
  );
}
