import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { describeInChromium } from '../console/browser.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const TSC = join(PROJECT, 'node_modules/.bin/tsc');
// npm finds the compiler and the Node that the project brings along.
const PATH = `${join(PROJECT, 'node_modules/.bin')}:${dirname(process.execPath)}:${process.env['PATH']}`;

/** A project of somebody else with the package in its `node_modules`, and nothing else. */
async function consumerProject(): Promise<string> {
  const folder = await temporaryFolder();
  await run('npm', ['pack', '--offline', '--silent', `--pack-destination=${folder}`], {
    cwd: PROJECT,
    env: { ...process.env, PATH },
  });
  const [archive = ''] = await readdir(folder);
  await run('tar', ['-xzf', archive], { cwd: folder });
  await mkdir(join(folder, 'node_modules'));
  await rename(join(folder, 'package'), join(folder, 'node_modules/sandbox-broker'));
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  return folder;
}

type CreateBroker = typeof import('../../src/client/index.ts').createBroker;

const PAGE = `<title>Lab</title><link rel="icon" href="data:,">
<script type="module">globalThis.createBroker = (await import('/index.js')).createBroker;</script>`;

const PROGRAM = `
import { BrokerError, createBroker } from 'sandbox-broker/client';
const broker = createBroker({ url: process.argv[2], token: 'dev-track-token', holder: 'consumer' });
await using lease = await broker.allocate();
const { status } = await broker.markForDeletion(lease.sandbox_id);
const code = await broker.get('no-such').catch((error) => error instanceof BrokerError && error.code);
console.log(JSON.stringify({ lease, status, code }));
`;

const TYPED = `
import { type BrokerError, createBroker, type Lease } from 'sandbox-broker/client';
export const take = async (signal: AbortSignal): Promise<Lease> => {
  const broker = createBroker({ url: 'http://127.0.0.1', token: 'token' });
  await using lease = await broker.allocate({ signal, lab: 'intro' });
  const expiresAt: number = lease.expires_at;
  // @ts-expect-error the API speaks of seconds, in names with underscores
  lease.expiresAt;
  return { ...lease, expires_at: expiresAt };
};
export const isEmpty = (error: BrokerError): boolean => error.code === 'NO_SANDBOXES_AVAILABLE';
// @ts-expect-error no broker has such a code
export const isOdd = (error: BrokerError): boolean => error.code === 'NO_SUCH_CODE';
`;

const TYPED_OPTIONS = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    target: 'es2025',
    lib: ['es2025', 'esnext.disposable', 'dom'],
    module: 'nodenext',
    types: [],
    skipLibCheck: false,
  },
  files: ['typed.ts'],
};

describeOnFastEngine('the package', ({ endpoint }) => {
  test('brings a client that plain JavaScript runs and TypeScript checks, with nothing else installed', async () => {
    const [folder, here] = [await consumerProject(), await startBrokerHere(endpoint)];
    await writeFile(join(folder, 'program.js'), PROGRAM);
    const { stdout } = await run(process.execPath, ['program.js', here.url], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({
      lease: { holder: 'consumer', sandbox_id: expect.any(String) },
      status: 'pending_deletion',
      code: 'SANDBOX_NOT_FOUND',
    });
    await writeFile(join(folder, 'typed.ts'), TYPED);
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TYPED_OPTIONS));
    const { stdout: complaints } = await run(TSC, ['-p', '.'], { cwd: folder }).catch(
      (error: { stdout: string }) => error,
    );
    expect(complaints).toBe('');
    const shipped = await readdir(join(folder, 'node_modules/sandbox-broker'), { recursive: true });
    expect(shipped.filter((path) => /^(src|test)|\.env/.test(path))).toEqual([]);
  });
});

describeOnFastEngine('in a page', ({ endpoint }) => {
  describeInChromium('of another origin', (browser) => {
    test('the client leases and gives back where the broker allows the origin', async () => {
      const folder = await temporaryFolder();
      await run(TSC, ['-p', 'src/client', '--outDir', folder], { cwd: PROJECT });
      const server = createServer(async (request, response) => {
        const isPage = request.url === '/';
        response.setHeader('content-type', isPage ? 'text/html' : 'text/javascript');
        response.end(isPage ? PAGE : await readFile(join(folder, 'client', String(request.url))));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      onTestFinished(() => void server.close());
      const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const here = await startBrokerHere(endpoint, { CORS_ALLOWED_ORIGINS: origin });
      const page = await browser().newPage();
      onTestFinished(() => page.close());
      await page.goto(origin);
      await page.waitForFunction(() => 'createBroker' in globalThis);
      const answer = await page.evaluate(async (url) => {
        const createBroker = Reflect.get(globalThis, 'createBroker') as CreateBroker;
        const broker = createBroker({ url, token: 'dev-track-token', holder: 'page' });
        const lease = await broker.allocate({ lab: 'Übung', idempotencyKey: 'one' });
        const { replayed } = await broker.allocate({ idempotencyKey: 'one', lab: 'Übung' });
        const { track_name } = await broker.get(lease.sandbox_id);
        const { status } = await lease.release();
        const refusal = await broker
          .get('no-such')
          .catch((error: { code: string; requestId: string }) => error);
        return { replayed, track_name, status, code: 'code' in refusal && refusal.code };
      }, here.url);
      expect(answer).toEqual({
        replayed: true,
        track_name: 'Übung',
        status: 'pending_deletion',
        code: 'SANDBOX_NOT_FOUND',
      });
    });
  });
});

describe('the published files', () => {
  test('name no module of the server and none of Node', async () => {
    const folder = join(PROJECT, 'src/client');
    const sources = (await readdir(folder)).filter((file) => file.endsWith('.ts'));
    expect(sources.length).toBeGreaterThan(4);
    for (const file of sources) {
      const runtimeImports = [
        ...(await readFile(join(folder, file), 'utf8')).matchAll(
          /^(?:im|ex)port (?!type)[^;]*from '([^']+)'/gm,
        ),
      ];
      for (const [, from] of runtimeImports) expect(from).toMatch(/^\.\/[a-z-]+\.ts$/);
    }
  });
});
