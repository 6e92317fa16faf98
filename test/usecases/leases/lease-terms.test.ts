import { expect, it } from 'vitest';
import { HOUR_SECONDS, TERMS } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  expire,
  historyOf,
  lease,
  mark,
  recordOf,
  refusal,
  refused,
  replicaOfTest,
  startCspCore,
  stockCsp,
  sync,
} from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const durationSeconds = 600;

describeOnEngines('what a lease asks for', ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });

  it('lasts as long as was asked for, and its replay says the same', async () => {
    const core = await start(1);
    const granted = await lease(core, 'a', { durationSeconds });
    expect(granted.expiresAt).toBe(granted.allocatedAt + durationSeconds);
    expect((await allocate(core, 'a', { durationSeconds })).lease).toEqual(granted);
    core.clock.advanceSeconds(durationSeconds + TERMS.bufferSeconds - 1);
    expect(await expire(core)).toMatchObject({ marked: 0 });
    core.clock.advanceSeconds(1);
    expect(await expire(core)).toMatchObject({ marked: 1 });
  });

  it('may last as long as the maximum; a second more is refused, with the maximum in the details', async () => {
    const core = await start(2);
    const { maxLeaseSeconds } = TERMS;
    await lease(core, 'a', { durationSeconds: maxLeaseSeconds });
    const refusedCall = await refusal(allocate(core, 'b', { durationSeconds: maxLeaseSeconds + 1 }));
    expect(refusedCall).toMatchObject({
      code: 'INVALID_REQUEST',
      details: {
        fields: [{ in: 'body', name: 'duration_seconds', problem: expect.stringContaining('86400') }],
        max_duration_seconds: 24 * HOUR_SECONDS,
      },
    });
  });

  it('another duration under a chosen key is another request; under the holder’s name it is not', async () => {
    const core = await start(3);
    await lease(core, 'a', { idempotencyKey: 'k', durationSeconds });
    for (const other of [{}, { durationSeconds: 601 }]) {
      const call = allocate(core, 'a', { idempotencyKey: 'k', ...other });
      expect(await refused(call)).toBe('IDEMPOTENCY_KEY_REUSED');
    }
    const granted = await lease(core, 'a', { durationSeconds });
    expect(await allocate(core, 'a')).toMatchObject({ lease: granted, replayed: true });
  });

  it('each lease has its own id, the one of its record and of its history', async () => {
    const core = await start(1);
    const granted = await lease(core, 'a');
    expect(await recordOf(core, granted.sandboxId)).toMatchObject({ lease: { leaseId: granted.leaseId } });
    expect((await historyOf(core, granted.sandboxId)).at(-1)).toMatchObject({ leaseId: granted.leaseId });
  });

  it('the fencing token rises with each lease of a sandbox: recycled, expired, missing for a while, on any replica', async () => {
    const core = await start(1);
    const other = await replicaOfTest(core);
    const tokens: number[] = [];
    const take = async (by = core) => {
      const granted = await lease(by, `holder-${tokens.length}`);
      expect(await recordOf(core, granted.sandboxId)).toMatchObject({
        lease: { fencingToken: granted.fencingToken },
      });
      tokens.push(Number(granted.fencingToken));
      return granted;
    };
    const taken = await take();
    await mark(core, 'holder-0', taken.sandboxId);
    await cleanUp(core);
    await take(other);
    core.clock.advanceSeconds(TERMS.leaseSeconds + TERMS.bufferSeconds);
    await expire(core);
    await cleanUp(core);
    await take();
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b));
    expect(tokens).toHaveLength(3);
  });

  it('the fencing token rises over a deletion and a rebirth, and over a withdrawal', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const one = account({ name: 'fenced' });
    await stockCsp(core, csp, [one, account()]);
    const prefix = { namePrefix: 'fenced' };
    const first = await lease(core, 'a', prefix);
    // What is missing and what is listed again: a minute apart, so that no clock skew is in the way.
    const syncLater = async () => {
      core.clock.advanceSeconds(60);
      await sync(core);
    };
    await mark(core, 'a', first.sandboxId);
    await cleanUp(core);
    await syncLater();
    await syncLater();
    csp.add(one);
    await syncLater();
    const second = await lease(core, 'b', prefix);
    expect(second.sandboxId).toBe(first.sandboxId);
    expect(second.fencingToken).toBeGreaterThan(Number(first.fencingToken));
  });
});
