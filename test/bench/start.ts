import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startReplica } from './replica.ts';

/** Spawn to ready, milliseconds, of a broker as a newcomer starts it: embedded engine, a file that is not there yet. */
export async function startTimes(rounds: number): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'broker-bench-'));
  try {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const replica = await startReplica({ SANDBOX_DB_URL: `embedded:${join(folder, `${round}.db`)}` });
      times.push(replica.startMs);
      await replica.stop();
    }
    return times;
  } finally {
    await rm(folder, { recursive: true });
  }
}
