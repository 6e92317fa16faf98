import { expect, onTestFinished } from 'vitest';
import type { AvailableSandbox } from '../../../src/domain/sandbox.ts';
import { create } from '../../../src/domain/transitions.ts';
import { createReadyList } from '../../../src/store/sandboxes/ready-list.ts';
import type { Rank } from '../../../src/store/shared/replicas.ts';
import { startCore, type TestCore } from '../../support/broker/core.ts';
import { type FaultInjector, injectFaults } from '../../support/store/injected-faults.ts';

const ALONE: Rank = { index: 0, replicas: 1 };

/** Starts a pool, and a ready list of its own for one replica. */
export async function start(endpoint: string, poolSize: number, { buckets = 1, rank = ALONE } = {}) {
  const core = await startCore(endpoint, { poolSize, buckets });
  onTestFinished(() => core.close());
  const errors: unknown[] = [];
  const list = createReadyList(
    core.reads,
    () => rank,
    { isWell: () => true },
    (error) => errors.push(error),
  );
  return { core, list, errors, faults: injectFaults(core.client) };
}

/** The queries among the calls to the store. */
export const queries = (faults: FaultInjector) =>
  faults.calls.filter(({ operation }) => operation === 'Query');

/** The buckets that were read, in the order of their queries. */
export const bucketsRead = (faults: FaultInjector): number[] =>
  queries(faults).flatMap(({ json }) => {
    const bucket = /"B#([0-9a-f]+)"/.exec(json)?.[1];
    return bucket === undefined ? [] : Number.parseInt(bucket, 16);
  });

/** Adds a sandbox that is free. */
export async function addSandbox(core: TestCore, id: string): Promise<AvailableSandbox> {
  const next = create(id, { name: id, externalId: id, metadata: {} }, core.clock.nowMs());
  expect(await core.store.write({ seen: undefined, next })).toBe(true);
  return next;
}

/** A hint that no table knows. */
export const imagined = (id: string): AvailableSandbox =>
  create(id, { name: id, externalId: id, metadata: {} }, Date.UTC(2030, 0, 1));
