import { onTestFinished } from 'vitest';
import type { CoreOptions } from '../../../src/compose/core.ts';
import type { SafetyConfig } from '../../../src/config/safety.ts';
import { BrokerError, type ErrorCode } from '../../../src/domain/errors.ts';
import { TRACK_PRINCIPAL } from '../../../src/domain/lease.ts';
import type { Description, Sandbox } from '../../../src/domain/sandbox.ts';
import { create } from '../../../src/domain/transitions.ts';
import type { Provider } from '../../../src/provider/provider.ts';
import type {
  AllocateInput,
  AllocateResult,
  GrantedLease,
} from '../../../src/usecases/leases/allocate-sandbox.ts';
import { setUp } from '../provider/csp-provider.ts';
import { account, type FakeAccount, type FakeCsp } from '../provider/fake-csp.ts';
import { context, type FakeClock, startCore, type TestCore } from './core.ts';

type StartOptions = Partial<CoreOptions> &
  Partial<SafetyConfig> & { poolSize?: number; table?: string; clock?: FakeClock };

/** `startCore` with fewer buckets to read, that closes itself after the test. */
export async function coreOfTest(endpoint: string, options: StartOptions = {}): Promise<TestCore> {
  const core = await startCore(endpoint, { buckets: 4, ...options });
  onTestFinished(async () => core.close());
  return core;
}

/** Another replica of `core` that closes itself after the test. */
export async function replicaOfTest(
  core: TestCore,
  options: Partial<CoreOptions> & Partial<SafetyConfig> = {},
): Promise<TestCore> {
  const replica = await core.replica(options);
  onTestFinished(async () => replica.close());
  return replica;
}

/** A core whose provider is a CSP at the other end of a socket. Both close themselves after the test. */
export async function startCspCore(
  endpoint: string,
  options: StartOptions = {},
): Promise<{ core: TestCore; csp: FakeCsp; provider: Provider }> {
  const { csp, provider } = await setUp();
  return { core: await coreOfTest(endpoint, { provider, ...options }), csp, provider };
}

/** Lets CSP list these accounts and the core learn of them, a minute ago, so that no clock skew is in the way. */
export async function stockCsp(
  core: TestCore,
  csp: FakeCsp,
  accounts: FakeAccount[],
): Promise<FakeAccount[]> {
  csp.add(...accounts);
  await sync(core);
  core.clock.advanceSeconds(60);
  core.calls.clear();
  return accounts;
}

/** So many accounts of CSP, as they come. */
export const someAccounts = (count: number): FakeAccount[] => Array.from({ length: count }, () => account());

/** Writes free sandboxes straight into the table: the id is the number, from 1 on. */
export async function stock(core: TestCore, names: string[]): Promise<void> {
  const describe = (name: string): Description => ({ name, externalId: `ext/${name}`, metadata: {} });
  const changes = names.map((name, index) => ({
    seen: undefined,
    next: create(String(index + 1), describe(name), core.clock.nowMs()),
  }));
  await core.store.writeAll(changes);
}

/** The lease of a new allocation, or of its replay. */
export async function allocate(
  core: TestCore,
  holder: string,
  more: Partial<AllocateInput> = {},
): Promise<AllocateResult> {
  return core.useCases.allocateSandbox({ principal: TRACK_PRINCIPAL, holder, ...more }, context());
}

/** A new lease; throws for a replay. */
export async function lease(
  core: TestCore,
  holder: string,
  more: Partial<AllocateInput> = {},
): Promise<GrantedLease> {
  const { lease: granted, replayed } = await allocate(core, holder, more);
  if (replayed) throw new Error(`${holder} had a lease already: ${granted.sandboxId}`);
  return granted;
}

export const mark = (core: TestCore, holder: string, sandboxId: string) =>
  core.useCases.markForDeletion({ holder, sandboxId }, context());

/** Leases so many sandboxes to `holder-1` and so on, and gives them back: they are due for a cleaner. */
export async function giveBack(core: TestCore, count: number): Promise<GrantedLease[]> {
  const leases: GrantedLease[] = [];
  for (let number = 1; number <= count; number++) {
    const granted = await lease(core, `holder-${number}`);
    await mark(core, `holder-${number}`, granted.sandboxId);
    leases.push(granted);
  }
  return leases;
}

export const sync = (core: TestCore, force = false) => core.work.sync({ force }, context('background_sync'));
export const cleanUp = (core: TestCore) => core.work.cleanup(context('background_cleanup'));
export const expire = (core: TestCore) => core.work.expire(context('auto_expiry'));

/** A sandbox's record. */
export async function recordOf(core: TestCore, sandboxId: unknown): Promise<Sandbox> {
  const record = await core.store.get(String(sandboxId));
  if (!record) throw new Error(`there is no record of ${sandboxId}`);
  return record;
}

/** Every record of the table, by id. */
export async function records(core: TestCore): Promise<Map<string, Sandbox>> {
  const all = new Map<string, Sandbox>();
  for (let bucket = 0; bucket < core.reads.buckets; bucket++) {
    let after: Awaited<ReturnType<typeof core.reads.all>>['after'];
    do {
      const page = await core.reads.all({ bucket, after });
      for (const sandbox of page.sandboxes) all.set(sandbox.id, sandbox);
      after = page.after;
    } while (after);
  }
  return all;
}

/** How many records there are in each status. */
export async function statusCounts(core: TestCore): Promise<Partial<Record<Sandbox['status'], number>>> {
  const counts: Partial<Record<Sandbox['status'], number>> = {};
  for (const { status } of (await records(core)).values()) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** A sandbox's history as an operator sees it. */
export async function historyOf(core: TestCore, sandboxId: string) {
  return (await core.useCases.inspectSandbox(sandboxId, context('admin'))).history;
}

/** The refusal a call ends with; throws when it ends otherwise. */
export async function refusal(call: Promise<unknown>): Promise<BrokerError> {
  const error = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof BrokerError)) throw error;
  return error;
}

/** The code of the refusal a call ends with. */
export const refused = async (call: Promise<unknown>): Promise<ErrorCode> => (await refusal(call)).code;
