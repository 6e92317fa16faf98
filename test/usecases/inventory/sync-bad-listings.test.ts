import { expect, it } from 'vitest';
import type { ProviderError } from '../../../src/provider/provider.ts';
import { lease, records, statusCounts, sync } from '../../support/broker/csp-core.ts';
import { failureOf, json } from '../../support/provider/csp-provider.ts';
import { account, type FakeAccount } from '../../support/provider/fake-csp.ts';
import type { FakeFault } from '../../support/provider/fake-csp-faults.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { change, NOTHING, startWith, vanish, writes } from './sync-steps.ts';

describeOnEngines('a listing that is not believed', ({ endpoint }) => {
  it('an empty one: nothing is marked stale, and somebody is told; forced, it is believed', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    csp.accounts.clear();
    core.calls.clear();
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 0, unchanged: 0, stale_refused: 3 });
    expect(writes(core)).toBe(0);
    expect(core.alerts).toEqual([
      {
        task: 'sync',
        reason: 'shrink_guard',
        severity: 'critical',
        context: { missing: 3, expected: 3, listed: 0, max_stale_ratio: 0.5 },
      },
    ]);
    expect(await statusCounts(core)).toEqual({ available: 3 });

    expect(await sync(core, true)).toEqual({ ...NOTHING, listed: 0, unchanged: 0, stale: 3 });
    expect(core.alerts).toHaveLength(1);
    csp.add(...accounts);
    expect(await sync(core)).toMatchObject({ restored: 3 });
  });

  it('half of the pool may go at once, one more may not; what is new, renamed or back is taken in all the same', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 10);
    vanish(csp, accounts.slice(0, 6));
    change(csp, accounts[9], { name: 'renamed' });
    const [fresh] = csp.add(account());
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 6, updated: 1, created: 1 });
    expect(core.alerts).toHaveLength(1);
    // The new one counts from now on: eleven are expected, and of eleven five may go, and six may not.
    core.clock.advanceSeconds(60);
    vanish(csp, fresh ? [fresh] : []);
    csp.add(...accounts.slice(0, 2));
    expect(await sync(core)).toMatchObject({ stale: 5, stale_refused: 0 });
    expect(core.alerts).toHaveLength(1);
    // The stale ones are expected no more: of the six that are left three may go, and four may not.
    vanish(csp, accounts.slice(6, 10));
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 4 });
    csp.add(...accounts.slice(6, 7));
    expect(await sync(core)).toMatchObject({ stale: 3, stale_refused: 0 });
  });

  it('leased ones that it lacks speak against it, too', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 6);
    const held = [await lease(core, 'a'), await lease(core, 'b'), await lease(core, 'c')];
    const isHeld = (one: FakeAccount) => held.some(({ sandboxId }) => sandboxId === one.csp_id);
    vanish(csp, accounts.filter(isHeld));
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 0 });
    vanish(csp, accounts.filter((one) => !isHeld(one)).slice(0, 1));
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 1 });
  });

  it.each<[string, FakeFault, Partial<ProviderError>]>([
    ['a login page with status 200', { kind: 'html' }, { kind: 'bad_response' }],
    ['JSON of another shape', { kind: 'missing_results' }, { kind: 'bad_response' }],
    ['a connection that dies in the middle of the body', { kind: 'cut' }, { kind: 'network' }],
    ['a connection that dies before the answer', { kind: 'lost' }, { kind: 'network' }],
    ['500', { kind: 'respond', status: 500 }, { kind: 'server_error' }],
    [
      '429',
      { kind: 'respond', status: 429, headers: { 'retry-after': '30' } },
      { kind: 'rate_limited', retryAfterMs: 30_000 },
    ],
    ['a first page without its second', json({ results: [], next: '?page=2' }), { kind: 'server_error' }],
  ])('%s is none: nothing is changed, and the next sync is right', async (_, fault, expected) => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    await lease(core, 'a');
    const before = await records(core);
    csp.add(account());
    change(csp, accounts[0], { name: 'renamed' });
    csp.faults.add('list', fault);
    // Whoever asks for a second page meets this.
    csp.faults.add('list', { kind: 'respond', status: 500 });
    core.calls.clear();
    expect(await failureOf(sync(core, true))).toMatchObject(expected);
    expect(writes(core)).toBe(0);
    expect(await records(core)).toEqual(before);
    csp.faults.clear();
    expect(await sync(core)).toMatchObject({ created: 1, updated: 1, unchanged: 2 });
  });
});
