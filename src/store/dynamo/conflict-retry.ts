import { pause } from '../../time-limit.ts';

const RETRIES = 5;
const UNINTERRUPTED = new AbortController().signal;

/**
 * What `attempt` comes to, tried again after a moment while it says `conflict`: another transaction is at work on one of
 * its items. `conflict` after `retries` more attempts.
 */
export async function retryConflicts<Outcome>(
  attempt: () => Promise<Outcome | 'conflict'>,
  { signal = UNINTERRUPTED, retries = RETRIES }: { signal?: AbortSignal | undefined; retries?: number } = {},
): Promise<Outcome | 'conflict'> {
  for (let left = retries; ; left--) {
    const outcome = await attempt();
    if (outcome !== 'conflict' || left === 0) return outcome;
    await pause(5 + Math.random() * 20, signal);
  }
}
