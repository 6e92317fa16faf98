import { describe, expect, it } from 'vitest';
import type { ProviderError } from '../../src/provider/provider.ts';
import { failureOf, remove, setUp } from '../support/provider/csp-provider.ts';
import { account, uuidOf } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';

describe('deleting', () => {
  it('deletes the account that the last part of the external id names, once; the second time it is gone already', async () => {
    const { csp, provider } = await setUp();
    const [one, two] = csp.add(account({ id: 'identity/accounts/a b?#%2F' }), account());
    await expect(remove(provider, one?.id)).resolves.toBe('destroyed');
    await expect(remove(provider, one?.id)).resolves.toBe('already_gone');
    expect(csp.calls[0]?.path).toBe('/v2/sandbox/accounts/a%20b%3F%23%252F');
    expect(csp.deletes.get('a b?#%2F')).toEqual({ effective: 1, missed: 1 });
    expect([...csp.accounts.values()]).toEqual([two]);
  });

  it.each([
    [200, 'destroyed'],
    [204, 'destroyed'],
    [202, 'accepted'],
  ])('takes %i for %s, with a body or without', async (status, outcome) => {
    const { csp, provider } = await setUp();
    csp.faults.add('delete', { kind: 'respond', status });
    csp.faults.add('delete', { kind: 'respond', status, ...(status === 204 ? {} : { body: '{"ok":true}' }) });
    await expect(remove(provider, 'one')).resolves.toBe(outcome);
    await expect(remove(provider, 'one')).resolves.toBe(outcome);
  });

  it.each<[string, FakeFault, Partial<ProviderError>]>([
    ['a login page with 200', { kind: 'html' }, { kind: 'bad_response', status: 200 }],
    [
      'HTML that claims to be JSON',
      { kind: 'respond', status: 200, body: '\n <html>' },
      { kind: 'bad_response' },
    ],
    [
      "a proxy's page that says 404",
      {
        kind: 'respond',
        status: 404,
        headers: { 'content-type': 'text/html; charset=utf-8' },
        body: '<h1>404 Not Found</h1>',
      },
      { kind: 'bad_response', status: 404 },
    ],
    [
      'a redirect',
      { kind: 'respond', status: 303, headers: { location: '/' } },
      { kind: 'bad_response', status: 303 },
    ],
    ['a success of another kind', { kind: 'respond', status: 206 }, { kind: 'bad_response', status: 206 }],
    [
      'an endless answer',
      { kind: 'respond', status: 200, body: 'x'.repeat(20_000) },
      { kind: 'bad_response' },
    ],
    ['400', { kind: 'respond', status: 400 }, { kind: 'rejected', status: 400 }],
    ['401', { kind: 'respond', status: 401 }, { kind: 'unauthorized', status: 401 }],
    ['403', { kind: 'respond', status: 403 }, { kind: 'unauthorized', status: 403, mayBeUnderWay: false }],
    [
      '403 that says when to come again',
      { kind: 'respond', status: 403, headers: { 'retry-after': '30' } },
      { kind: 'rate_limited', retryAfterMs: 30_000 },
    ],
    ['409', { kind: 'respond', status: 409 }, { kind: 'rejected', status: 409 }],
    [
      '429',
      { kind: 'respond', status: 429, headers: { 'retry-after': '7' } },
      { kind: 'rate_limited', retryAfterMs: 7000 },
    ],
    ['500', { kind: 'respond', status: 500 }, { kind: 'server_error', mayBeUnderWay: false }],
    ['502', { kind: 'respond', status: 502 }, { kind: 'server_error', status: 502, mayBeUnderWay: true }],
    ['no answer', { kind: 'hang' }, { kind: 'timeout', mayBeUnderWay: true }],
    ['a body that breaks off', { kind: 'cut' }, { kind: 'network' }],
  ])('%s is not a deletion', async (_, fault, expected) => {
    const { csp, provider } = await setUp(expected.kind === 'timeout' ? { readTimeoutMs: 300 } : {});
    const [one] = csp.add(account());
    csp.faults.add('delete', fault);
    expect(await failureOf(remove(provider, one?.id))).toMatchObject(expected);
    await expect(remove(provider, one?.id)).resolves.toBe('destroyed');
  });

  it('takes a 404 for gone already, as JSON, as text or without a body', async () => {
    const { csp, provider } = await setUp();
    for (const headers of [{}, { 'content-type': 'text/plain' }, { 'content-type': '' }]) {
      csp.faults.add('delete', {
        kind: 'respond',
        status: 404,
        headers,
        body: '{"error":"no such account"}',
      });
      await expect(remove(provider, 'one')).resolves.toBe('already_gone');
    }
    await expect(remove(provider, 'one')).resolves.toBe('already_gone');
  });

  it('an answer lost after the effect is an error now, and already_gone when asked again', async () => {
    const { csp, provider } = await setUp();
    const [one = account()] = csp.add(account());
    csp.faults.add('delete', { kind: 'lost', afterEffect: true });
    expect((await failureOf(remove(provider, one.id))).kind).toBe('network');
    await expect(remove(provider, one.id)).resolves.toBe('already_gone');
    expect(csp.deletes.get(uuidOf(one))).toEqual({ effective: 1, missed: 1 });
  });

  it.each(['', '/', 'identity/accounts/', 'a/.', 'a/..', '..', 'a/ ', 'a/\ud800'])(
    'refuses the external id "%s" without a call',
    async (externalId) => {
      const { csp, provider } = await setUp();
      expect((await failureOf(remove(provider, externalId))).kind).toBe('rejected');
      expect(csp.calls).toHaveLength(0);
    },
  );
});
