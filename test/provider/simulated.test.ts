import { describe, expect, it } from 'vitest';
import { ProviderError } from '../../src/provider/provider.ts';
import { createSimulatedProvider } from '../../src/provider/simulated.ts';
import { list } from '../support/provider/csp-provider.ts';

const never = () => new AbortController().signal;

async function kindOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => 'success',
    (reason: unknown) => reason,
  );
  return error instanceof ProviderError ? error.kind : String(error);
}

async function firstOf(provider: ReturnType<typeof createSimulatedProvider>) {
  const [first] = (await list(provider)).items;
  if (first === undefined) throw new Error('the pool is empty');
  return first;
}

describe('the simulated pool', () => {
  it('has as many sandboxes as it was told, named lab-0001 onwards, each with ids of its own', async () => {
    const { items, invalid } = await list(createSimulatedProvider({ poolSize: 12_000 }));
    expect(invalid).toBe(0);
    expect(items.map((item) => item.name).slice(0, 2)).toEqual(['lab-0001', 'lab-0002']);
    expect(items.at(-1)?.name).toBe('lab-12000');
    for (const field of ['sandboxId', 'externalId', 'name'] as const) {
      expect(new Set(items.map((item) => item[field])).size).toBe(12_000);
    }
  });

  it('is the same after a restart', async () => {
    const before = await list(createSimulatedProvider({ poolSize: 5 }));
    const after = await list(createSimulatedProvider({ poolSize: 5 }));
    expect(after).toEqual(before);
  });

  it('recycles what is deleted: it is listed again', async () => {
    const provider = createSimulatedProvider({ poolSize: 3 });
    const before = await list(provider);
    const first = await firstOf(provider);
    await expect(provider.deleteSandbox(first, never())).resolves.toBe('recycled');
    await expect(list(provider)).resolves.toEqual(before);
  });

  it('knows nothing of a sandbox outside the pool', async () => {
    const beyond = (await list(createSimulatedProvider({ poolSize: 2 }))).items[1];
    if (beyond === undefined) throw new Error('the pool is too small');
    const provider = createSimulatedProvider({ poolSize: 1 });
    await expect(provider.deleteSandbox(beyond, never())).resolves.toBe('already_gone');
  });

  it('may be empty, but not of an impossible size', async () => {
    expect((await list(createSimulatedProvider({ poolSize: 0 }))).items).toEqual([]);
    for (const poolSize of [-1, 1.5, Number.NaN, 100_001]) {
      expect(() => createSimulatedProvider({ poolSize })).toThrow(RangeError);
    }
  });
});

describe('told to go wrong', () => {
  it('fails so many calls of the operation, with the kind that was asked for, and then works again', async () => {
    const provider = createSimulatedProvider({ poolSize: 1 });
    provider.fail({ operation: 'list', kind: 'server_error', times: 2 });
    provider.fail({ operation: 'list', kind: 'timeout' });
    const first = { sandboxId: 'sim-0001', externalId: 'simulated/sandboxes/0001', name: 'lab-0001' };
    await expect(provider.deleteSandbox(first, never())).resolves.toBe('recycled');
    const kinds: string[] = [];
    for (let call = 0; call < 4; call += 1) kinds.push(await kindOf(provider.listSandboxes(never())));
    expect(kinds).toEqual(['server_error', 'server_error', 'timeout', 'success']);
  });

  it('fails deletes of one sandbox only, until it recovers', async () => {
    const provider = createSimulatedProvider({ poolSize: 2 });
    const [one, two] = (await list(provider)).items;
    if (one === undefined || two === undefined) throw new Error('the pool is too small');
    provider.fail({
      operation: 'delete',
      kind: 'rejected',
      times: Number.POSITIVE_INFINITY,
      sandboxId: one.sandboxId,
    });
    expect(await kindOf(provider.deleteSandbox(one, never()))).toBe('rejected');
    expect(await kindOf(provider.deleteSandbox(two, never()))).toBe('success');
    expect(await kindOf(provider.deleteSandbox(one, never()))).toBe('rejected');
    provider.recover();
    expect(await kindOf(provider.deleteSandbox(one, never()))).toBe('success');
  });

  it('passes a Retry-After on', async () => {
    const provider = createSimulatedProvider({ poolSize: 1 });
    provider.fail({ operation: 'list', kind: 'rate_limited', retryAfterMs: 1500 });
    await expect(provider.listSandboxes(never())).rejects.toMatchObject({
      kind: 'rate_limited',
      retryAfterMs: 1500,
    });
  });

  it('takes time, and an abort ends the wait at once without deleting', async () => {
    const provider = createSimulatedProvider({ poolSize: 1 });
    const first = await firstOf(provider);
    provider.takeTime('delete', 60_000);
    expect(await kindOf(provider.listSandboxes(never()))).toBe('success');
    const abort = new AbortController();
    const call = kindOf(provider.deleteSandbox(first, abort.signal));
    abort.abort();
    expect(await call).toBe('aborted');

    provider.takeTime('delete', 20);
    const startedAtMs = performance.now();
    await provider.deleteSandbox(first, never());
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(19);
  });

  it('a signal that is aborted already ends a call that takes no time', async () => {
    const provider = createSimulatedProvider({ poolSize: 1 });
    expect(await kindOf(provider.listSandboxes(AbortSignal.abort()))).toBe('aborted');
  });

  it('refuses an order that makes no sense', () => {
    const provider = createSimulatedProvider({ poolSize: 1 });
    expect(() => provider.fail({ operation: 'list', kind: 'network', times: 0 })).toThrow(RangeError);
    expect(() => provider.takeTime('list', -1)).toThrow(RangeError);
  });
});

it('tells the observer how each call ended', async () => {
  const seen: unknown[] = [];
  const provider = createSimulatedProvider({
    poolSize: 1,
    observe: (operation, outcome) => seen.push([operation, outcome]),
  });
  const first = await firstOf(provider);
  provider.fail({ operation: 'delete', kind: 'network' });
  await kindOf(provider.deleteSandbox(first, never()));
  await provider.deleteSandbox(first, never());
  expect(seen).toEqual([
    ['list', 'success'],
    ['delete', 'network'],
    ['delete', 'success'],
  ]);
  await provider.close();
});
