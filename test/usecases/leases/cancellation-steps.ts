import { onTestFinished } from 'vitest';
import { startCore, type TestCore } from '../../support/broker/core.ts';
import { type FaultInjector, injectFaults, type SentCall } from '../../support/store/injected-faults.ts';

export const TRANSACT = 'TransactWriteItems';

/** A core that knows of the free sandboxes in its pool, and a hand on the calls that it sends. */
export async function startFaulty(
  endpoint: string,
  poolSize: number,
  options: { allocateDeadlineMs?: number } = {},
): Promise<{ core: TestCore; faults: FaultInjector }> {
  const core = await startCore(endpoint, { poolSize, ...options });
  onTestFinished(() => core.close());
  await core.readyList.refresh();
  const faults = injectFaults(core.client);
  core.calls.clear();
  return { core, faults };
}

export const transactions = (faults: FaultInjector): SentCall[] =>
  faults.calls.filter((call) => call.operation === TRANSACT);

/** The sandbox that a grant is about. */
export const candidateOf = (call: SentCall | undefined): string | undefined =>
  /"sk":\{"S":"S#([^"]+)"/.exec(call?.json ?? '')?.[1];
