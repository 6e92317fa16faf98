import { describe, expect, onTestFinished, test } from 'vitest';
import {
  createBreaker,
  createGovernor,
  createIdempotency,
  createSandboxOrchestrator,
  createSideEffects,
  type DatabaseChoice,
  openSandboxDatabase,
  type SandboxDatabase,
} from '../../../src/safety/index.ts';
import { uniqueTable } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';

const QUOTAS = { mail: { maxActions: 1, windowSeconds: 60 } };

/** What every database has to keep; `again` gives another replica's view of the same. */
function keepsAll(choice: DatabaseChoice, again: (first: SandboxDatabase) => Promise<SandboxDatabase>): void {
  async function open() {
    const one = await openSandboxDatabase(choice);
    const two = await again(one);
    onTestFinished(async () => void (await Promise.all([one.cleanup(), two.cleanup()])));
    return [one, two] as const;
  }

  test('is shared by the systems of all who open it', async () => {
    const [one, two] = await open();
    expect(await createGovernor({ quotas: QUOTAS, store: one.quotas }).take('mail')).toEqual({
      allowed: true,
    });
    expect((await createGovernor({ quotas: QUOTAS, store: two.quotas }).take('mail')).allowed).toBe(false);

    const key = { type: 'mail', entity: 'a', generation: 1 } as const;
    const effectsOf = ({ effects: records }: SandboxDatabase) =>
      createSideEffects({ types: ['mail'], records });
    await effectsOf(one).once(key, async () => 1);
    expect(await effectsOf(two).once(key, async () => 2)).toEqual({ result: 1, replayed: true });

    await createIdempotency({ answers: one.answers }).process('key', async () => 1);
    expect(await createIdempotency({ answers: two.answers }).cachedResult('key')).toBe(1);

    const breakerOf = ({ breakers: store }: SandboxDatabase) => createBreaker({ name: 'far', store });
    await breakerOf(one).override('open', 60_000);
    const other = breakerOf(two);
    await other.refresh();
    expect(other.state()).toBe('open');
  });

  test('awaits what is under way before it is gone, and takes no more', async () => {
    const [database] = await open();
    expect(await database.check()).toBe(true);
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    const session = database.session(async () => {
      await gate.promise;
      order.push('session');
    });
    const ended = database.cleanup().then(() => order.push('gone'));
    await expect(database.session(async () => 1)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    gate.resolve();
    await Promise.all([session, ended]);
    expect(order).toEqual(['session', 'gone']);
  });

  test('serves all systems together, and is let go of with them', async () => {
    const orchestrator = createSandboxOrchestrator({
      actions: { pay: 'irreversible' },
      quotas: QUOTAS,
      tasks: { add: async ({ a, b }: { a: number; b: number }) => a + b },
      database: choice,
    });
    onTestFinished(() => orchestrator.cleanup());
    expect(await orchestrator.isReady()).toBe(false);
    expect(() => orchestrator.getStatus()).toThrow(/initialize/);
    const systems = await orchestrator.initialize();
    expect(await orchestrator.initialize()).toBe(systems);
    expect(await orchestrator.isReady()).toBe(true);
    const held = await systems.guard.run(
      { action: 'pay', entity: 'a', generation: 1, task: 'pay:a' },
      async () => 'paid',
    );
    expect(held).toEqual({ outcome: 'dry_run', action: 'pay', result: null });
    const { id } = await systems.worker.submit('add', { a: 1, b: 2 });
    await expect
      .poll(async () => await systems.worker.get(id))
      .toMatchObject({ status: 'completed', result: 3 });
    expect(orchestrator.getStatus()).toMatchObject({
      ready: true,
      readiness: { database: true, worker: true, governor: true },
      completedJobs: 1,
      alerts: 0,
      idempotentOperations: 0,
    });
    await orchestrator.cleanup();
    expect(await orchestrator.isReady()).toBe(false);
  });
}

describe('a database in memory', () => keepsAll('memory', async (first) => first));
describeOnFastEngine('a database of tables', ({ endpoint }) => {
  const choice: DatabaseChoice = { kind: 'endpoint', url: endpoint, table: uniqueTable() };
  keepsAll(choice, () => openSandboxDatabase(choice));
});

test('an embedded engine comes and goes with its database', async () => {
  const database = await openSandboxDatabase('embedded');
  expect([database.kind, await database.check()]).toEqual(['embedded', true]);
  await database.cleanup();
  await database.cleanup();
});
