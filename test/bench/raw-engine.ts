import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { AvailableSandbox } from '../../src/domain/sandbox.ts';
import type { RawOrders, RawResult } from './raw-worker.ts';
import { sum } from './statistics.ts';

const WORKER = fileURLToPath(new URL('raw-worker.ts', import.meta.url));

export interface RawRun {
  transactions: number;
  elapsedMs: number;
  latenciesMs: number[];
  /** Of the client processes; the engine's is not in it. */
  cpuSeconds: number;
}

/** What the engine does at best: one grant's transaction per sandbox, from bare SDK clients in `processes` processes. */
export async function runRawEngine(options: {
  endpoint: string;
  table: string;
  sandboxes: readonly AvailableSandbox[];
  processes: number;
  /** Of each process: sandboxes used up before the clock starts. */
  warmUp: number;
  /** Of each process: transactions under way at once. */
  concurrency: number;
}): Promise<RawRun> {
  const { processes, sandboxes, ...orders } = options;
  const workers = Array.from({ length: processes }, () => fork(WORKER));
  try {
    await Promise.all(
      workers.map((worker, index) => {
        const own = sandboxes.filter((_, position) => position % processes === index);
        worker.send({ ...orders, sandboxes: own } satisfies RawOrders);
        return answerOf(worker);
      }),
    );
    for (const worker of workers) worker.send('go');
    const results = (await Promise.all(workers.map(answerOf))) as RawResult[];
    const latenciesMs = results.flatMap((result) => result.latenciesMs);
    return {
      transactions: latenciesMs.length,
      elapsedMs:
        Math.max(...results.map((result) => result.endedMs)) -
        Math.min(...results.map((result) => result.startedMs)),
      latenciesMs,
      cpuSeconds: sum(results.map((result) => result.cpuSeconds)),
    };
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
  }
}

async function answerOf(worker: ChildProcess): Promise<unknown> {
  const ended = once(worker, 'exit').then(([code]) => {
    throw new Error(`a raw client ended with ${code}`);
  });
  const [answer] = await Promise.race([once(worker, 'message'), ended]);
  return answer;
}
