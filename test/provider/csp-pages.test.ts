import { describe, expect, it, onTestFinished } from 'vitest';
import type { ProviderError } from '../../src/provider/provider.ts';
import { failureOf, json, list, setUp, TOKEN } from '../support/provider/csp-provider.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';

describe('pages', () => {
  it('follows the next links and puts the pages together', async () => {
    const { csp, provider } = await setUp();
    csp.settings.pageSize = 4;
    const added = csp.add(...Array.from({ length: 9 }, () => account()), account({ csp_id: null }));
    const { items, invalid } = await list(provider);
    expect(items.map((item) => item.sandboxId)).toEqual(added.slice(0, 9).map((one) => one.csp_id));
    expect(invalid).toBe(1);
    expect(csp.calls).toHaveLength(3);
  });

  it('follows a relative link', async () => {
    const { csp, provider } = await setUp();
    csp.add(account());
    csp.faults.add('list', json({ results: [account()], next: '?page=2' }));
    expect((await list(provider)).items).toHaveLength(2);
  });

  it.each<[string, FakeFault, ProviderError['kind']]>([
    ['fails', { kind: 'respond', status: 500 }, 'server_error'],
    ['breaks off', { kind: 'cut' }, 'network'],
    ['is a login page', { kind: 'html' }, 'bad_response'],
  ])('a later page that %s fails the whole listing', async (_, fault, kind) => {
    const { csp, provider } = await setUp();
    csp.faults.add('list', json({ results: [account()], next: '?page=2' }));
    csp.faults.add('list', fault);
    expect((await failureOf(list(provider))).kind).toBe(kind);
  });

  it('takes the token to no other origin', async () => {
    const elsewhere = await startFakeCsp({ token: TOKEN });
    onTestFinished(() => elsewhere.close());
    const { csp, provider } = await setUp();
    for (const next of [
      `${elsewhere.baseUrl}/current_user/accounts`,
      '//example.com/x',
      'file:///etc/passwd',
      'http://',
    ]) {
      csp.faults.add('list', json({ results: [], next }));
      expect((await failureOf(list(provider))).kind).toBe('bad_response');
    }
    expect(elsewhere.calls).toHaveLength(0);
  });

  it('ends a listing that goes in a circle or never ends', async () => {
    const { csp, provider } = await setUp();
    csp.faults.add('list', json({ results: [], next: '?page=2' }), { times: 2 });
    expect((await failureOf(list(provider))).kind).toBe('bad_response');
    expect(csp.calls).toHaveLength(2);

    csp.settings.pageSize = 1;
    csp.add(...Array.from({ length: 1001 }, () => account()));
    csp.calls.length = 0;
    expect((await failureOf(list(provider))).kind).toBe('bad_response');
    expect(csp.calls).toHaveLength(1000);
  });

  it('shares one size limit among all pages', async () => {
    const { csp, provider } = await setUp({ maxBodyBytes: 1000 });
    csp.settings.pageSize = 1;
    csp.add(...Array.from({ length: 10 }, () => account()));
    expect((await failureOf(list(provider))).kind).toBe('bad_response');
  });
});
