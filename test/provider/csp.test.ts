import { describe, expect, it } from 'vitest';
import type { ProviderError } from '../../src/provider/provider.ts';
import {
  failureOf,
  json,
  list,
  provide,
  rawServer,
  remove,
  setUp,
} from '../support/provider/csp-provider.ts';
import { account } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';

describe('listing', () => {
  it('keeps active sandboxes, with csp_id as the id, id as the external id, and the metadata that is present', async () => {
    const { csp, provider } = await setUp();
    csp.add(
      account({ csp_id: '42', id: 'identity/accounts/uuid-42', name: 'Lab 42', sfdc_account_id: 'SF-1' }),
      account({ csp_id: '43', id: 'uuid-43', name: 'Lab 43', created_at: null, sfdc_account_id: undefined }),
      account({ account_type: 'standard' }),
      account({ account_type: undefined }),
      account({ state: 'disabled' }),
      account({ state: null }),
    );
    await expect(list(provider)).resolves.toEqual({
      items: [
        {
          sandboxId: '42',
          externalId: 'identity/accounts/uuid-42',
          name: 'Lab 42',
          metadata: {
            account_type: 'sandbox',
            state: 'active',
            created_at: '2026-01-02T03:04:05Z',
            sfdc_account_id: 'SF-1',
          },
        },
        {
          sandboxId: '43',
          externalId: 'uuid-43',
          name: 'Lab 43',
          metadata: { account_type: 'sandbox', state: 'active' },
        },
      ],
      invalid: 0,
    });
  });

  it('reads 10,000 accounts at once', async () => {
    const { csp, provider } = await setUp();
    csp.add(...Array.from({ length: 10_000 }, () => account()));
    const { items } = await list(provider);
    expect(new Set(items.map((item) => item.sandboxId)).size).toBe(10_000);
  });

  it('is empty when CSP says so', async () => {
    const { provider } = await setUp();
    await expect(list(provider)).resolves.toEqual({ items: [], invalid: 0 });
  });

  it('turns numeric ids into strings, and counts a number that JSON cannot hold exactly as no id', async () => {
    const { csp, provider } = await setUp();
    csp.faults.add('list', {
      kind: 'respond',
      status: 200,
      body: '{"results":[{"account_type":"sandbox","state":"active","id":7,"csp_id":12,"sfdc_account_id":5},{"account_type":"sandbox","state":"active","id":8,"csp_id":9007199254740993}]}',
    });
    const { items, invalid } = await list(provider);
    expect(items).toEqual([
      {
        sandboxId: '12',
        externalId: '7',
        name: '12',
        metadata: { account_type: 'sandbox', state: 'active', sfdc_account_id: '5' },
      },
    ]);
    expect(invalid).toBe(1);
  });

  it.each([
    ['missing', { csp_id: undefined }],
    ['null', { csp_id: null }],
    ['empty', { csp_id: '' }],
    ['with a slash', { csp_id: 'a/b' }],
    ['with a space', { csp_id: 'a b' }],
    ['ending in a line break', { csp_id: 'a\n' }],
    ['a path step', { csp_id: '..' }],
    ['too long', { csp_id: 'x'.repeat(129) }],
    ['a negative number', { csp_id: -1 }],
    ['an object', { csp_id: {} }],
    ['fine, but there is no external id', { id: null }],
    ['fine, but the external id names no account', { id: 'identity/accounts/' }],
    ['fine, but the external id is endless', { id: 'x'.repeat(513) }],
  ])('counts an active sandbox whose id is %s as invalid and goes on', async (_, overrides) => {
    const { csp, provider } = await setUp();
    csp.add(account(overrides), account({ csp_id: 'A.b_c:d@e-1' }));
    const { items, invalid } = await list(provider);
    expect(items.map((item) => item.sandboxId)).toEqual(['A.b_c:d@e-1']);
    expect(invalid).toBe(1);
  });

  it.each([
    ['unicode and inner spaces stay', 'Läb  für 東京 🧪 #1', 'Läb  für 東京 🧪 #1'],
    ['outer spaces go', '  \u3000 lab\u00a0', 'lab'],
    ['control characters become spaces', 'a\u0000b\r\nc\u0085d\u2028e', 'a b  c d e'],
    ['256 code points at most', '🧪'.repeat(300), '🧪'.repeat(256)],
    ['broken surrogates are replaced', 'a\ud83e', 'a\ufffd'],
    ['nothing but spaces falls back to the id', ' \t ', 'the-id'],
    ['an absent one falls back to the id', undefined, 'the-id'],
    ['null falls back to the id', null, 'the-id'],
    ['no text falls back to the id', ['x'], 'the-id'],
  ])('names: %s', async (_, name, expected) => {
    const { csp, provider } = await setUp();
    csp.add(account({ csp_id: 'the-id', name }));
    expect((await list(provider)).items[0]?.name).toBe(expected);
  });

  it('the first of several entries for an id counts, and the others are counted', async () => {
    const { csp, provider } = await setUp();
    csp.add(account({ csp_id: 'twice', name: 'first' }), account({ csp_id: 'twice', name: 'second' }));
    const { items } = await provider.listSandboxes(new AbortController().signal);
    expect([...items]).toMatchObject([{ sandboxId: 'twice', name: 'first' }]);
    expect(items.duplicates).toBe(1);
  });

  it.each(['/v2', '', '/deep/er'])(
    'finds CSP below the path "%s", with and without a trailing slash',
    async (basePath) => {
      const { csp, provider } = await setUp({}, { basePath });
      csp.add(account());
      expect((await list(provider)).items).toHaveLength(1);
      expect((await list(provide({ baseUrl: `${csp.baseUrl}/` }))).items).toHaveLength(1);
    },
  );

  it('accepts JSON under any JSON content type, and without one', async () => {
    const { csp, provider } = await setUp();
    for (const type of ['application/json; charset=utf-8', 'Application/HAL+JSON', 'text/json']) {
      csp.faults.add('list', { ...json({ results: [] }), headers: { 'content-type': type } } as FakeFault);
      await expect(list(provider)).resolves.toEqual({ items: [], invalid: 0 });
    }
    const body = '\ufeff{"results":[]}';
    const port = await rawServer((socket) =>
      socket.once('data', () =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
      ),
    );
    await expect(list(provide({ baseUrl: `http://127.0.0.1:${port}` }))).resolves.toEqual({
      items: [],
      invalid: 0,
    });
  });
});

describe('an inventory is complete or an error', () => {
  const other = account({ account_type: 'standard' });
  it.each<[string, FakeFault, Partial<ProviderError>]>([
    ['500', { kind: 'respond', status: 500 }, { kind: 'server_error', status: 500 }],
    [
      '503',
      { kind: 'respond', status: 503, headers: { 'retry-after': '2' } },
      { kind: 'server_error', retryAfterMs: 2000 },
    ],
    ['403', { kind: 'respond', status: 403 }, { kind: 'unauthorized', status: 403 }],
    ['404', { kind: 'respond', status: 404 }, { kind: 'rejected', status: 404 }],
    ['429', { kind: 'respond', status: 429 }, { kind: 'rate_limited', status: 429, retryAfterMs: undefined }],
    ['no content', { kind: 'respond', status: 204 }, { kind: 'bad_response', status: 204 }],
    [
      'part of it',
      { kind: 'respond', status: 206, body: '{"results":[]}' },
      { kind: 'bad_response', status: 206 },
    ],
    ['a login page with 200', { kind: 'html' }, { kind: 'bad_response', status: 200 }],
    [
      'HTML that claims to be JSON',
      { kind: 'respond', status: 200, body: '<html>' },
      { kind: 'bad_response' },
    ],
    [
      'JSON that claims to be text',
      { kind: 'respond', status: 200, headers: { 'content-type': 'text/plain' }, body: '{"results":[]}' },
      { kind: 'bad_response' },
    ],
    ['an empty body', { kind: 'respond', status: 200 }, { kind: 'bad_response' }],
    ['no results', { kind: 'missing_results' }, { kind: 'bad_response' }],
    ['null for results', json({ results: null }), { kind: 'bad_response' }],
    ['an object for results', json({ results: {} }), { kind: 'bad_response' }],
    ['a bare array', json([]), { kind: 'bad_response' }],
    ['an entry that is null', json({ results: [other, null] }), { kind: 'bad_response' }],
    ['an entry that is an array', json({ results: [[]] }), { kind: 'bad_response' }],
    ['an entry that is text', json({ results: ['x'] }), { kind: 'bad_response' }],
    ['a next link that is none', json({ results: [], next: 2 }), { kind: 'bad_response' }],
    ['a body that breaks off', { kind: 'cut' }, { kind: 'network' }],
    ['a body that stops', { kind: 'stall' }, { kind: 'timeout' }],
    ['no answer', { kind: 'hang' }, { kind: 'timeout' }],
    ['an answer that is lost', { kind: 'lost' }, { kind: 'network' }],
  ])('%s', async (_, fault, expected) => {
    const { csp, provider } = await setUp(expected.kind === 'timeout' ? { readTimeoutMs: 300 } : {});
    csp.add(account());
    csp.faults.add('list', fault);
    expect(await failureOf(list(provider))).toMatchObject(expected);
    // The next call finds a working connection again.
    expect((await list(provider)).items).toHaveLength(1);
  });

  it('a chunked body that breaks off, bytes that are not UTF-8, and an answer that is not HTTP', async () => {
    const answers: [string | Buffer, ProviderError['kind']][] = [
      ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"res\r\n', 'network'],
      ['HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"results":[', 'bad_response'],
      [Buffer.from('HTTP/1.1 200 OK\r\n\r\n{"results":[],"name":"\xff"}', 'latin1'), 'bad_response'],
      ['SSH-2.0-OpenSSH\r\n', 'bad_response'],
    ];
    for (const [bytes, kind] of answers) {
      const port = await rawServer((socket) => socket.once('data', () => socket.end(bytes)));
      expect((await failureOf(list(provide({ baseUrl: `http://127.0.0.1:${port}` })))).kind).toBe(kind);
    }
  });

  it('a redirect is not followed, not even on the same origin', async () => {
    const { csp, provider } = await setUp();
    const location = `${csp.baseUrl}/current_user/accounts`;
    csp.faults.add('list', { kind: 'respond', status: 302, headers: { location }, body: '{"results":[]}' });
    expect(await failureOf(list(provider))).toMatchObject({ kind: 'bad_response', status: 302 });
    expect(csp.calls).toHaveLength(1);
  });

  it('a body over the limit, announced or streamed, stops being read', async () => {
    const body = JSON.stringify({ results: [], padding: 'x'.repeat(5000) });
    const { csp, provider } = await setUp({ maxBodyBytes: 5000 });
    csp.faults.add('list', { kind: 'respond', status: 200, body });
    csp.faults.add('list', {
      kind: 'respond',
      status: 200,
      body,
      headers: { 'transfer-encoding': 'chunked' },
    });
    expect((await failureOf(list(provider))).kind).toBe('bad_response');
    expect((await failureOf(list(provider))).kind).toBe('bad_response');
    const roomy = provide({ baseUrl: csp.baseUrl, maxBodyBytes: body.length });
    csp.faults.add('list', { kind: 'respond', status: 200, body });
    await expect(list(roomy)).resolves.toEqual({ items: [], invalid: 0 });
  });

  it('a body that drips for ever, without a gap long enough for the read time-out, is a time-out', async () => {
    const port = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n');
      const drip = setInterval(() => socket.write(' '), 10);
      socket.on('close', () => clearInterval(drip));
    });
    const provider = provide({ baseUrl: `http://127.0.0.1:${port}`, readTimeoutMs: 50 });
    expect((await failureOf(list(provider))).kind).toBe('timeout');
    expect((await failureOf(remove(provider, 'one'))).kind).toBe('timeout');
  });
});
