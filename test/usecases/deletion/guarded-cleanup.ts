import { onTestFinished } from 'vitest';
import type { BreakerRules } from '../../../src/domain/breaker.ts';
import { createBreaker } from '../../../src/safety/breaker/breaker.ts';
import type { Transition } from '../../../src/safety/breaker/shared-breaker.ts';
import { createGuardedProvider, healthOfDelete } from '../../../src/safety/guard/guarded-provider.ts';
import { createRetry } from '../../../src/safety/retry/retry.ts';
import type { GrantedLease } from '../../../src/usecases/leases/lease-request.ts';
import { createFakeClock } from '../../support/broker/core.ts';
import { coreOfTest, giveBack, recordOf, someAccounts, stockCsp } from '../../support/broker/csp-core.ts';
import { setUp } from '../../support/provider/csp-provider.ts';
import type { FakeFault } from '../../support/provider/fake-csp-faults.ts';

export const DOWN: FakeFault = { kind: 'respond', status: 500 };
export const OUTAGE = { times: Number.POSITIVE_INFINITY };

interface GuardedOptions {
  cleanupConcurrency?: number;
  recovery?: BreakerRules['recovery'];
  readTimeoutMs?: number;
  deleteMayRunMs?: number;
}

/** So many sandboxes that were given back, one each second, at a CSP whose deletes go through a breaker, not retried. */
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
    onTransition: (transition) => transitions.push(transition),
  });
  const parked: string[] = [];
  const core = await coreOfTest(endpoint, {
    clock,
    provider: createGuardedProvider({
      provider,
      retry: createRetry({ policy: { retries: 0 } }),
      listBreaker: createBreaker({ name: 'csp_list', clock }),
      deleteBreaker: breaker,
    }),
    cleanupConcurrency,
    deleteBreaker: breaker,
    ...(options.deleteMayRunMs !== undefined && { deleteMayRunMs: options.deleteMayRunMs }),
    onParked: (sandboxId) => parked.push(sandboxId),
  });
  await stockCsp(core, csp, someAccounts(count));
  const used: GrantedLease[] = [];
  while (used.length < count) {
    clock.advanceSeconds(1);
    used.push(...(await giveBack(core, 1)));
  }
  const ids = used.map(({ sandboxId }) => sandboxId);
  const records = async () => await Promise.all(ids.map((id) => recordOf(core, id)));
  const deletes = () => csp.calls.filter(({ operation }) => operation === 'delete').length;
  const uuids = used.map(({ externalId }) => externalId.slice(externalId.lastIndexOf('/') + 1));
  onTestFinished(async () => csp.faults.clear());
  return { core, csp, clock, breaker, transitions, ids, uuids, records, deletes, parked };
}

/** Alerts are raised for these. */
export const opened = (transitions: readonly Transition[]): Transition[] =>
  transitions.filter(({ from, to }) => from === 'closed' && to === 'open');
