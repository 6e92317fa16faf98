import { extrapolated, idleCost } from './idle.ts';
import { lifeCosts } from './life.ts';
import type { Costs } from './report.ts';

const TOGETHER = 20;
const SMALL_POOL = 20;
const LARGE_POOL = 50_000;
const HUGE_POOL = 1_000_000;
const WINDOW_MS = 60_000;

/** What it costs to run, on a DynamoDB that is paid by the call. `quick`: with a small pool instead of a large one. */
export async function measureCosts({ quick }: { quick: boolean }): Promise<Costs> {
  const largePool = quick ? 1_000 : LARGE_POOL;
  const windowMs = quick ? WINDOW_MS / 4 : WINDOW_MS;
  const lives = await lifeCosts(TOGETHER);
  const small = await idleCost(SMALL_POOL, 1, windowMs);
  const smallOfMany = await idleCost(SMALL_POOL, 4, windowMs);
  const large = await idleCost(largePool, 1, windowMs);
  return {
    takenAt: new Date().toISOString(),
    lives,
    idle: [small, smallOfMany, large, extrapolated(small, large, HUGE_POOL)],
  };
}
