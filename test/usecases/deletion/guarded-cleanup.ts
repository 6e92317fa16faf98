import { onTestFinished } from 'vitest';
import type { BreakerRules } from '../../../src/domain/resilience/breaker.ts';
import { allocate, requestDeletion } from '../../../src/domain/transitions.ts';
import { createGuardedProvider } from '../../../src/provider/guarded-provider.ts';
import { healthOfDelete, tripOfCall } from '../../../src/provider/verdicts.ts';
import { createBreaker } from '../../../src/safety/breaker/breaker.ts';
import type { Transition } from '../../../src/safety/breaker/shared-breaker.ts';
import { createRetry } from '../../../src/safety/retry/retry.ts';
import { createFakeClock } from '../../support/broker/core.ts';
import { coreOfTest, records as recordsOf, someAccounts, stockCsp } from '../../support/broker/csp-core.ts';
import { LEASE } from '../../support/broker/records.ts';
import { setUp } from '../../support/provider/csp-provider.ts';
import type { FakeFault } from '../../support/provider/fake-csp-faults.ts';

export const DOWN: FakeFault = { kind: 'respond', status: 500 };
export const OUTAGE = { times: Number.POSITIVE_INFINITY };

interface GuardedOptions {
  cleanupConcurrency?: number;
  recovery?: BreakerRules['recovery'];
  readTimeoutMs?: number;
  deleteMayRunMs?: number;
  /** Within a cleanup, milliseconds apart; none unless given. */
  retries?: number;
}

/** So many sandboxes that were given back, one each second, at a CSP whose deletes go through a breaker. */
export async function startGuarded(endpoint: string, count: number, options: GuardedOptions = {}) {
  const { cleanupConcurrency = 5, readTimeoutMs = 5_000 } = options;
  const { csp, provider } = await setUp({ readTimeoutMs });
  const clock = createFakeClock();
  const transitions: Transition[] = [];
  const breaker = createBreaker({
    name: 'csp_delete',
    clock,
    rules: {
      trip: { kind: 'told', failures: 5 },
      recovery: options.recovery ?? { kind: 'automatic', afterMs: 60_000, maxMs: 600_000 },
    },
    judge: healthOfDelete,
    tripOf: tripOfCall,
    onTransition: (transition) => transitions.push(transition),
  });
  const parked: string[] = [];
  const core = await coreOfTest(endpoint, {
    clock,
    provider: createGuardedProvider({
      provider,
      retry: createRetry({ policy: { retries: options.retries ?? 0, baseMs: 1, maxMs: 10 } }),
      listBreaker: createBreaker({ name: 'csp_list', clock }),
      deleteBreaker: breaker,
    }),
    cleanupConcurrency,
    deleteBreaker: breaker,
    ...(options.deleteMayRunMs !== undefined && { deleteMayRunMs: options.deleteMayRunMs }),
    onParked: (sandboxId) => parked.push(sandboxId),
  });
  await stockCsp(core, csp, someAccounts(count));
  const used = [...(await recordsOf(core)).values()].map((seen, at) => {
    if (seen.status !== 'available') throw new Error(`${seen.id} is ${seen.status}`);
    clock.advanceSeconds(1);
    const lease = { ...LEASE, leaseId: `lease-${at}`, idempotencyPk: `I#${at}` };
    return { seen, next: requestDeletion(allocate(seen, lease, clock.nowMs()), clock.nowMs()) };
  });
  await core.store.writeAll(used);
  const ids = used.map(({ next }) => next.id);
  /** In the order in which they were given back. */
  const records = async () => {
    const all = await recordsOf(core);
    return ids.flatMap((id) => all.get(id) ?? []);
  };
  const deletes = () => csp.calls.filter(({ operation }) => operation === 'delete').length;
  const uuids = used.map(({ next }) => next.externalId.slice(next.externalId.lastIndexOf('/') + 1));
  onTestFinished(async () => csp.faults.clear());
  return { core, csp, clock, breaker, transitions, ids, uuids, records, deletes, parked };
}

/** Alerts are raised for these. */
export const opened = (transitions: readonly Transition[]): Transition[] =>
  transitions.filter(({ from, to }) => from === 'closed' && to === 'open');
