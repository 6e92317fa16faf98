import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { loadConsoleFiles } from '../../src/console/files.ts';
import { startApp, type TestApp } from '../support/broker/http-app.ts';

const startConsole = (): Promise<TestApp> => startApp({ consoleFiles: loadConsoleFiles });

/** Everything that a served text refers to. */
function references(contentType: string, text: string): string[] {
  const pattern = contentType.startsWith('text/html')
    ? /(?:src|href)="([^"]+)"/g
    : /(?:\bfrom\s*|\bimport\s*)["']([^"'\s]+)["']/g;
  return contentType.startsWith('text/css')
    ? []
    : [...text.matchAll(pattern)].map(([, reference = '']) => reference);
}

it('serves the page and all that it is made of, and that refers to nothing else', async () => {
  const { call } = await startConsole();
  const seen = new Map<string, string>();
  const visit = async (path: string): Promise<void> => {
    const answer = await call('GET', path);
    expect([path, answer.status]).toEqual([path, 200]);
    const contentType = String(answer.headers['content-type']);
    seen.set(path, contentType);
    for (const reference of references(contentType, answer.text)) {
      const { pathname, origin } = new URL(reference, `http://broker${path}`);
      expect([path, reference, origin]).toEqual([path, reference, 'http://broker']);
      if (!seen.has(pathname)) await visit(pathname);
    }
  };
  await visit('/console');
  const served = [...(await loadConsoleFiles()).keys()].sort();
  expect([...seen.keys()].sort()).toEqual(served);
  expect(new Set(seen.values())).toEqual(
    new Set([
      'text/html; charset=utf-8',
      'text/css; charset=utf-8',
      'text/javascript; charset=utf-8',
      'image/svg+xml',
    ]),
  );
});

it('has no inline script and no inline style, and loads nothing from elsewhere', async () => {
  const { call } = await startConsole();
  const { text } = await call('GET', '/console');
  expect(text).not.toMatch(/<script(?![^>]* src=)|<style|style=|\son\w+=|https?:/i);
  for (const [path, { body, contentType }] of await loadConsoleFiles()) {
    if (contentType.startsWith('text/css'))
      expect(body.toString(), path).not.toMatch(/@import|url\((?!["']?data:)/);
    else expect(body.toString(), path).not.toMatch(/sourceMappingURL|\beval\(|new Function\b/);
  }
});

it('lets the browser run its own files alone and talk to its broker alone', async () => {
  const { call } = await startConsole();
  for (const path of ['/console', '/console/page/main.js', '/console/vendor/preact.js']) {
    const { headers } = await call('GET', path);
    const policy = Object.fromEntries(
      String(headers['content-security-policy'])
        .split(';')
        .map((each) => [each.split(' ')[0], each.split(' ').slice(1).join(' ')]),
    );
    expect(policy).toEqual({
      'default-src': "'none'",
      'base-uri': "'none'",
      'connect-src': "'self'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
      'img-src': "'self' data:",
      'script-src': "'self'",
      'style-src': "'self'",
      'require-trusted-types-for': "'script'",
    });
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  }
});

it('sends a file once, and then only when it has changed', async () => {
  const { call } = await startConsole();
  const first = await call('GET', '/console/page/main.js');
  const { etag } = first.headers;
  expect(etag).toMatch(/^"[\w-]{43}"$/);
  expect(first.headers['cache-control']).toBe('no-cache');
  for (const known of [`${etag}`, `W/${etag}`, `"other", ${etag}`]) {
    const again = await call('GET', '/console/page/main.js', { headers: { 'if-none-match': known } });
    expect([again.status, again.text, again.headers['etag']]).toEqual([304, '', etag]);
  }
  const changed = await call('GET', '/console/page/main.js', { headers: { 'if-none-match': '"other"' } });
  expect([changed.status, changed.text]).toEqual([200, first.text]);
  expect((await call('GET', '/console/page/api.js')).headers['etag']).not.toBe(etag);
});

it('answers HEAD as GET without the body, and no other method', async () => {
  const { call } = await startConsole();
  const head = await call('HEAD', '/console');
  expect([head.status, head.text]).toEqual([200, '']);
  expect(Number(head.headers['content-length'])).toBeGreaterThan(500);
  for (const method of ['POST', 'PUT', 'DELETE']) {
    const answer = await call(method, '/console/page/main.js');
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, HEAD']);
  }
});

it.each([
  '/console/',
  '/console/page/',
  '/console/page/index.html',
  '/console/page/main.ts',
  '/console/page/tsconfig.json',
  '/console/files.ts',
  '/console/page/../files.ts',
  '/console/page/%2e%2e/files.ts',
  '/console/page/..%2f..%2fmain.ts',
  '/console/vendor/../../package.json',
  '/console/vendor/%2e%2e%2f%2e%2e%2fpackage.json',
  '/console/page/__proto__',
  '/console/page/main.js%00',
  '/console//etc/passwd',
])('serves nothing else: %s', async (path) => {
  const { call } = await startConsole();
  const answer = await call('GET', path);
  expect([400, 404]).toContain(answer.status);
  expect(answer.json.error?.code).toMatch(/^(NOT_FOUND|INVALID_REQUEST)$/);
});

it('says nothing on standard error while it takes the types out, and keeps no later warning back', async () => {
  const script = `
    const { loadConsoleFiles } = await import(${JSON.stringify(new URL('../../src/console/files.ts', import.meta.url))});
    await loadConsoleFiles();
    process.emitWarning('a later one');`;
  const { stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
  expect(stderr).toMatch(/^\(node:\d+\) Warning: a later one\n/);
  expect(stderr).not.toContain('Experimental');
});
