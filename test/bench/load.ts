import { Agent } from 'undici';
import { z } from 'zod';
import { DEVELOPMENT_TOKENS } from '../../src/config/variables.ts';

/** How one call ended. `status` is 0 when there was no answer. */
export interface Answer {
  status: number;
  latencyMs: number;
  sandboxId?: string | undefined;
}

const lease = z.object({ sandbox_id: z.string() });

/** Labs, over HTTP: every call under way has a connection of its own, as separate clients do. */
export interface Labs {
  /** Waits in line for so many seconds where nothing is free; not at all by default. */
  allocate(url: string, holder: string, waitSeconds?: number): Promise<Answer>;
  mark(url: string, sandboxId: string, holder: string): Promise<Answer>;
  close(): Promise<void>;
}

export function createLabs(): Labs {
  const agent = new Agent({ pipelining: 1, connect: { timeout: 30_000 } });
  const post = async (url: string, path: string, holder: string, prefer?: string): Promise<Answer> => {
    const startedMs = performance.now();
    try {
      const { statusCode, body } = await agent.request({
        origin: url,
        path,
        method: 'POST',
        headers: {
          authorization: `Bearer ${DEVELOPMENT_TOKENS.track}`,
          'x-track-id': holder,
          ...(prefer && { prefer }),
        },
      });
      const answer: unknown = await body.json();
      return {
        status: statusCode,
        latencyMs: performance.now() - startedMs,
        sandboxId: lease.safeParse(answer).data?.sandbox_id,
      };
    } catch {
      return { status: 0, latencyMs: performance.now() - startedMs };
    }
  };
  return {
    allocate: (url, holder, waitSeconds) =>
      post(url, '/v1/allocate', holder, waitSeconds === undefined ? undefined : `wait=${waitSeconds}`),
    mark: (url, sandboxId, holder) => post(url, `/v1/sandboxes/${sandboxId}/mark-for-deletion`, holder),
    close: () => agent.destroy(),
  };
}

/** Does `task` for each, `concurrency` at a time; the results are in the order of `list`. */
export async function inParallel<T, R>(
  list: readonly T[],
  concurrency: number,
  task: (entry: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const entries = list.entries();
  const worker = async () => {
    for (const [index, entry] of entries) results[index] = await task(entry, index);
  };
  await Promise.all(Array.from({ length: Math.min(list.length, concurrency) }, worker));
  return results;
}
