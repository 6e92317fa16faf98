import { expect, onTestFinished, test } from 'vitest';
import { createSimulatedProvider } from '../../../src/provider/simulated.ts';
import { context, LINE, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { Line } from './line-callers.ts';

const PAST_PATIENCE_SECONDS = LINE.patienceSeconds + 11;
const PAST_CLAIM_SECONDS = LINE.claimSeconds + 11;
/** A replica that is silent for so long is taken for gone. */
const GONE_AFTER_SECONDS = 31;

describeOnEngines('a line of callers', ({ endpoint }) => {
  async function start(
    poolSize: number,
    line: Partial<typeof LINE> = {},
  ): Promise<{ core: TestCore; line: Line }> {
    const core = await startCore(endpoint, { poolSize, buckets: 2, line: { ...LINE, ...line } });
    onTestFinished(() => core.close());
    return { core, line: new Line(core) };
  }

  const statusOf = async (core: TestCore, id: string) => (await core.store.get(id))?.status;

  test('who waits is served in the order of joining, by the transaction that frees the sandbox', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    expect(await line.join('bob')).toMatchObject({ position: 1, waiting: 1 });
    const cyd = await line.join('cyd');
    expect(cyd).toMatchObject({ position: 2, waiting: 2 });
    await line.giveBack('ada', only);
    expect(await statusOf(core, only)).toBe('allocated');
    await expect(line.ask('dan')).rejects.toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE' });
    expect(await line.join('cyd')).toMatchObject({ ticket: cyd.ticket, position: 1, waiting: 1 });
    expect(await line.wait('bob')).toMatchObject({ lease: { sandboxId: only }, replayed: false });
    expect(await line.wait('bob')).toMatchObject({ lease: { sandboxId: only }, replayed: true });
  });

  test('a call that waits is answered as soon as its turn comes', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    const bob = line.wait('bob', { seconds: 60 });
    await expect.poll(() => core.lineWaiters.size).toBe(1);
    await line.giveBack('ada', only);
    expect(await bob).toMatchObject({ lease: { sandboxId: only }, replayed: false });
    // Nobody need collect what its caller was waiting for.
    expect(await core.store.get(only)).toMatchObject({ lease: { holder: 'bob' } });
    expect(await core.store.get(only)).not.toHaveProperty('lease.collectBy');
  });

  test('the highest priority comes first, and who asks for a name is passed by for others', async () => {
    const { line } = await start(1);
    const only = await line.take('ada');
    await line.join('named', { namePrefix: 'x' });
    await line.join('plain');
    await line.join('urgent', { priority: 3 });
    await line.giveBack('ada', only);
    expect(await line.join('plain')).toMatchObject({ position: 2, waiting: 2 });
    expect(await line.wait('urgent')).toMatchObject({ lease: { sandboxId: only } });
    await line.giveBack('urgent', only);
    expect(await line.wait('plain')).toMatchObject({ lease: { sandboxId: only } });
    expect(await line.join('named', { namePrefix: 'x' })).toMatchObject({ position: 1, waiting: 1 });
  });

  test('who calls no more gives up the place, and who calls in time keeps it', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    await line.join('gone');
    const bob = await line.join('bob');
    core.clock.advanceSeconds(40);
    await line.join('bob');
    core.clock.advanceSeconds(PAST_PATIENCE_SECONDS - 40);
    await line.giveBack('ada', only);
    expect(await line.wait('bob')).toMatchObject({ lease: { sandboxId: only } });
    expect((await line.join('gone')).ticket).not.toBe(bob.ticket);
  });

  test('what nobody collects goes to the next without a cleanup, and its first holder is told the truth', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    const bob = await line.join('bob');
    const cyd = await line.join('cyd');
    await line.giveBack('ada', only);
    core.clock.advanceSeconds(PAST_CLAIM_SECONDS - 20);
    await line.join('cyd');
    core.clock.advanceSeconds(20);
    await core.work.expire(context());
    expect(await line.wait('cyd')).toMatchObject({ lease: { sandboxId: only }, replayed: false });
    await expect(line.look('bob', bob.ticket)).rejects.toMatchObject({ code: 'TICKET_NOT_FOUND' });
    await expect(line.look('bob', cyd.ticket)).rejects.toMatchObject({ code: 'TICKET_NOT_FOUND' });
    expect((await line.join('bob')).ticket).not.toBe(bob.ticket);
    const { history } = await core.useCases.inspectSandbox(only, context('admin'));
    expect(history.map(({ action }) => action).slice(-4)).toEqual([
      'cleanup_recycled',
      'allocate',
      'pass_on',
      'allocate',
    ]);
  });

  test('served and not told of it, a holder speaks of the lease that it had of the sandbox before: it is over', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    await core.useCases.markForDeletion({ sandboxId: only, holder: 'ada' }, context());
    await line.join('ada');
    await core.work.cleanup(context());
    const claim = { sandboxId: only, holder: 'ada' };
    expect(await core.store.get(only)).toMatchObject({ status: 'allocated', lease: { holder: 'ada' } });
    // Whoever was told that it goes on would use what goes to the next without a cleanup.
    const over = { code: 'LEASE_OVER' };
    await expect(core.useCases.heartbeat(claim, context())).rejects.toMatchObject(over);
    await expect(
      core.useCases.extendLease({ ...claim, durationSeconds: 60 }, context()),
    ).rejects.toMatchObject(over);
    await expect(core.useCases.getSandbox(claim, context())).rejects.toMatchObject({
      code: 'NOT_SANDBOX_OWNER',
    });
    await line.wait('ada');
    expect(await core.useCases.heartbeat(claim, context())).toMatchObject({ sandboxId: only });
    expect(await core.useCases.getSandbox(claim, context())).toMatchObject({ status: 'allocated' });
  });

  test('with nobody behind it, what nobody collects is free again', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    await line.join('bob');
    await line.giveBack('ada', only);
    core.clock.advanceSeconds(PAST_CLAIM_SECONDS);
    await core.work.expire(context());
    expect(await statusOf(core, only)).toBe('available');
    expect(await line.take('eve')).toBe(only);
  });

  test('what nobody collects of a replica that is gone is passed on without a run', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    const other = await core.replica({ provider: createSimulatedProvider({ poolSize: 1 }) });
    onTestFinished(() => other.close());
    const beat = () => core.register.beat(new AbortController().signal);
    await other.register.beat(new AbortController().signal);
    await beat();
    await line.join('bob');
    await new Line(other).giveBack('ada', only);
    await line.join('cyd');
    // It was killed: nobody looks after what it gave away, and it is not heard of any more.
    core.clock.advanceSeconds(GONE_AFTER_SECONDS);
    await beat();
    await core.work.tendLine(context());
    await line.join('cyd');
    // Until then one who came late may have got something from it.
    core.clock.advanceSeconds(PAST_CLAIM_SECONDS - 5);
    await line.join('cyd');
    await core.work.tendLine(context());
    expect(await core.store.get(only)).toMatchObject({ lease: { holder: 'bob' } });
    core.clock.advanceSeconds(5);
    await core.work.tendLine(context());
    expect(await line.wait('cyd')).toMatchObject({ lease: { sandboxId: only } });
    core.calls.clear();
    await core.work.tendLine(context());
    await core.work.tendLine(context());
    // It has been looked for once, and the line is looked at.
    expect(core.calls.count('Query')).toBeLessThanOrEqual(2);
  });

  test('what a sync finds goes to who waits', async () => {
    const { core, line } = await start(1);
    await line.take('ada');
    await line.join('bob');
    await line.join('cyd');
    const other = await core.replica({ provider: createSimulatedProvider({ poolSize: 3 }) });
    onTestFinished(() => other.close());
    await other.work.sync({ force: false }, context());
    expect(await line.wait('bob')).toHaveProperty('lease');
    expect(await line.wait('cyd')).toHaveProperty('lease');
  });

  test('a place is given up by its holder or taken away by an operator, and its caller is told', async () => {
    const { core, line } = await start(1);
    await line.take('ada');
    const bob = await line.join('bob');
    await expect(line.leave('cyd', bob.ticket)).rejects.toMatchObject({ code: 'TICKET_NOT_FOUND' });
    const ticket = await core.useCases.places.ticketOf({ principal: 'track', holder: 'bob' }, context());
    expect(ticket).toBe(bob.ticket);
    await line.leave('bob', ticket);
    await expect(line.look('bob', bob.ticket)).rejects.toMatchObject({ code: 'TICKET_NOT_FOUND' });
    const cyd = line.wait('cyd', { seconds: 60 });
    await expect.poll(() => core.lineWaiters.size).toBe(1);
    const { places } = await core.useCases.places.list({ limit: 10 }, context('admin'));
    expect(places).toMatchObject([{ position: 1, request: { holder: 'cyd' } }]);
    await Promise.all([
      expect(cyd).rejects.toMatchObject({ code: 'PLACE_LOST' }),
      core.useCases.places.remove(places[0]?.ticket ?? '', context('admin')),
    ]);
  });

  test('a full line takes nobody else, and a stop tells all who wait where they stand', async () => {
    const stopping = new AbortController();
    const { core, line } = await start(1, { maxPlaces: 1, stopping: stopping.signal });
    await line.take('ada');
    const bob = line.wait('bob', { seconds: 60 });
    await expect.poll(() => core.lineWaiters.size).toBe(1);
    await expect.poll(() => core.lineView.length()).toBe(1);
    await expect(line.wait('cyd')).rejects.toMatchObject({ code: 'LINE_FULL' });
    core.calls.clear();
    stopping.abort();
    expect(await bob).toMatchObject({ position: 1 });
    // However the store is.
    expect(core.calls.count()).toBe(0);
  });

  test('nothing more is asked of the store for who does not wait, and two calls by who joins', async () => {
    const { core, line } = await start(3);
    await core.readyList.refresh();
    for (const holder of ['ada', 'bob']) {
      core.calls.clear();
      await line.take(holder);
      expect(core.calls.count()).toBe(1);
    }
    await line.take('cyd');
    await line.join('first');
    core.calls.clear();
    await line.join('second');
    expect(core.calls.count('TransactWriteItems')).toBe(1);
    expect(core.calls.count('GetItem')).toBeLessThanOrEqual(1);
  });

  test('being served is one transaction, and to be told of it one write at most', async () => {
    const { core, line } = await start(1);
    const only = await line.take('ada');
    const bob = line.wait('bob', { seconds: 60 });
    await expect.poll(() => core.lineWaiters.size).toBe(1);
    await core.useCases.markForDeletion({ holder: 'ada', sandboxId: only }, context());
    core.calls.clear();
    await core.work.cleanup(context());
    expect(core.calls.count('TransactWriteItems')).toBe(1);
    core.calls.clear();
    expect(await bob).toMatchObject({ lease: { sandboxId: only } });
    expect(core.calls.count('TransactWriteItems')).toBe(0);

    await line.join('cyd');
    await core.useCases.markForDeletion({ holder: 'bob', sandboxId: only }, context());
    core.calls.clear();
    await core.work.cleanup(context());
    expect(core.calls.count('TransactWriteItems')).toBe(1);
    core.calls.clear();
    expect(await line.wait('cyd')).toMatchObject({ lease: { sandboxId: only } });
    expect(core.calls.count('TransactWriteItems')).toBeLessThanOrEqual(1);
  });
});
