import { realpathSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { describeInChromium } from '../console/browser.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { listenForTest } from '../support/listen.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { NAME, OLDER_TSC, type Packed, packClient, run, TSC } from './packed-client.ts';

// Compilers and other Nodes are processes of their own.
vi.setConfig(PROCESS_TIMES);

const MAX_PACKED_BYTES = 15_000;
const SOURCES = new URL('../../src/client/', import.meta.url);

let project: string;
let packed: Packed;
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'broker-client-'));
  packed = await packClient(project);
});
afterAll(() => rm(project, { recursive: true, force: true }));

const readPacked = (file: string): Promise<string> => readFile(join(packed.folder, file), 'utf8');
const manifestOf = (text: string) => JSON.parse(text) as Record<string, unknown> & { version: string };

describe('the package', () => {
  test('is small, has what it needs and nothing else, and the broker’s version', async () => {
    expect(packed.size).toBeLessThanOrEqual(MAX_PACKED_BYTES);
    expect(packed.files).toEqual([
      'LICENSE',
      'README.md',
      'dist/index.cjs',
      'dist/index.js',
      'dist/types/index.d.cts',
      'dist/types/index.d.ts',
      'package.json',
    ]);
    const manifest = manifestOf(await readPacked('package.json'));
    expect(Object.keys(manifest).filter((name) => /dependencies$/i.test(name))).toEqual([]);
    const broker = manifestOf(await readFile(new URL('../../package.json', SOURCES), 'utf8'));
    expect(manifest.version).toBe(broker.version);
  });

  test('has nothing that publint objects to', async () => {
    const { messages, pkg } = await publint({ pkgDir: packed.folder, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg ?? {}))).toEqual([]);
  });

  test('tells every option and every call in its README', async () => {
    const [types, readme] = [await readPacked('dist/types/index.d.ts'), await readPacked('README.md')];
    const namesIn = (declaration: string) => {
      const [, body = ''] =
        new RegExp(`interface ${declaration}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(types) ?? [];
      return [...body.matchAll(/^\t(?:readonly )?(\w+)[?(:]/gm)].map(([, name]) => name);
    };
    const named = ['CallerOptions', 'BrokerOptions', 'CallOptions', 'AllocateOptions', 'Broker'].flatMap(
      namesIn,
    );
    expect(named).toEqual(
      expect.arrayContaining(['url', 'onRetry', 'correlationId', 'markForDeletion', 'lab']),
    );
    expect(named.filter((name) => !new RegExp(`\`${name}\\b`).test(readme))).toEqual([]);
  });

  test('is made of no module of the server and none of Node', async () => {
    const sources = (await readdir(SOURCES)).filter((file) => file.endsWith('.ts'));
    expect(sources.length).toBeGreaterThan(4);
    for (const file of sources) {
      const imports = /^(?:im|ex)port (?!type)[^;]*from '([^']+)'/gm;
      const text = await readFile(new URL(file, SOURCES), 'utf8');
      for (const [, from] of text.matchAll(imports)) expect(from).toMatch(/^\.\/[a-z-]+\.ts$/);
    }
    expect(await readPacked('dist/index.js')).not.toMatch(/^import |\brequire\(|\bprocess\b|\bBuffer\b/m);
  });
});

const USE = `
const broker = createBroker({ url: process.argv[2], token: 'dev-track-token', holder: 'consumer' });
const work = async () => {
  const lease = await broker.allocate({ signal: new AbortController().signal });
  const { status } = await lease.release();
  const code = await broker.get('no-such').catch((error) => error instanceof BrokerError && error.code);
  console.log(JSON.stringify({ version: process.version, holder: lease.holder, status, code, lazy: typeof crypto }));
};
work();
`;
const PROGRAMS = {
  'imported.mjs': `import { BrokerError, createBroker } from '${NAME}';${USE}`,
  'required.cjs': `const { BrokerError, createBroker } = require('${NAME}');${USE}`,
};
/** Takes away what came after Node 18.0. */
const OLD_PLATFORM = `
for (const name of ['crypto', 'navigator', 'CustomEvent']) delete globalThis[name];
delete AbortSignal.any;
delete URL.canParse;
delete URLSearchParams.prototype.size;
delete Promise.withResolvers;
delete Array.fromAsync;
`;

/** Every Node on the path, besides the one that the project brings along. */
async function nodesOfTheMachine(): Promise<string[]> {
  const { stdout } = await run('sh', ['-c', 'which -a node']);
  const found = stdout
    .trim()
    .split('\n')
    .filter((path) => !path.includes('node_modules'));
  return [...new Set(found.map((path) => realpathSync(path)))];
}

describeOnFastEngine('the packed client', ({ endpoint }) => {
  const useIn = async (url: string, node: string, options: string[] = []) =>
    Promise.all(
      Object.entries(PROGRAMS).map(async ([name, program]) => {
        await writeFile(join(project, name), program);
        const { stdout } = await run(node, [...options, name, url], { cwd: project });
        return JSON.parse(stdout) as unknown;
      }),
    );
  const USED = { holder: 'consumer', status: 'pending_deletion', code: 'SANDBOX_NOT_FOUND' };

  test('leases and gives back when it is imported and when it is required, in every Node there is', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '20' });
    for (const node of [process.execPath, ...(await nodesOfTheMachine())]) {
      expect(await useIn(here.url, node), node).toMatchObject([USED, USED]);
    }
  });

  test('does so without what came after Node 18.0', async () => {
    const here = await startBrokerHere(endpoint);
    await writeFile(join(project, 'old-platform.cjs'), OLD_PLATFORM);
    const used = await useIn(here.url, process.execPath, ['--require', './old-platform.cjs']);
    const withoutCrypto = { ...USED, lazy: 'undefined' };
    expect(used).toMatchObject([withoutCrypto, withoutCrypto]);
  });
});

const TYPED = `
import { type BrokerError, createBroker, type Lease } from '${NAME}';
export const take = async (signal: AbortSignal): Promise<Lease> => {
  const broker = createBroker({ url: 'http://127.0.0.1', token: 'token', onRetry: ({ error }) => error.code });
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

/** The README's examples as modules of their own, with what they leave to the reader. */
async function examplesOfTheReadme(): Promise<string[]> {
  const blocks = [...(await readPacked('README.md')).matchAll(/^```ts\n(.*?)^```$/gms)];
  const left = `declare const token: string;\ndeclare const work: (...names: string[]) => Promise<void>;\n`;
  return blocks.map(([, code = '']) => {
    const isWhole = code.includes('import ');
    const broker = `import type { Broker } from '${NAME}';\ndeclare const broker: Broker;\n`;
    return `${isWhole ? '' : broker}${left}${code}\nexport {};\n`;
  });
}

/** What a compiler has to say about somebody's modules that use the package. */
async function complaints(
  compiler: string[],
  options: object,
  files: Record<string, string>,
): Promise<string> {
  const folder = await mkdtemp(join(project, 'typed-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const compilerOptions = {
    ...{
      strict: true,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022', 'dom'],
      types: [],
      skipLibCheck: false,
      skipDefaultLibCheck: true,
    },
    ...options,
  };
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: Object.keys(files) }),
  );
  const [command = '', ...args] = compiler;
  const { stdout } = await run(command, [...args, '-p', '.'], { cwd: folder }).catch(
    (error: { stdout: string }) => error,
  );
  return stdout;
}

describe('its types', () => {
  test('fit who imports and who requires it, and the examples of its README', async () => {
    const files = { 'imports.mts': TYPED, 'requires.cts': TYPED };
    const examples = Object.entries(await examplesOfTheReadme()).map(([n, code]) => [
      `example-${n}.ts`,
      code,
    ]);
    expect(examples.length).toBeGreaterThan(1);
    expect(
      await complaints([TSC], { module: 'nodenext' }, { ...files, ...Object.fromEntries(examples) }),
    ).toBe('');
  });

  test.each([
    ['a bundler', [TSC], { module: 'esnext', moduleResolution: 'bundler' }],
    ['an older compiler', [process.execPath, OLDER_TSC], { module: 'node16' }],
  ])('fit %s', async (_who, compiler, options) => {
    const files = { 'typed.ts': TYPED, ...(options.module === 'node16' && { 'requires.cts': TYPED }) };
    expect(await complaints(compiler, options, files)).toBe('');
  });
});

type CreateBroker = typeof import('../../src/client/index.ts').createBroker;

const PAGE = `<title>Lab</title><link rel="icon" href="data:,">
<script type="module">globalThis.createBroker = (await import('/index.js')).createBroker;</script>`;

describeOnFastEngine('in a page', ({ endpoint }) => {
  describeInChromium('of another origin', (browser) => {
    test('it leases and gives back where the broker allows the origin, and says where it does not', async () => {
      const script = await readPacked('dist/index.js');
      const origin = await listenForTest(
        createServer((request, response) => {
          const isPage = request.url === '/';
          response.setHeader('content-type', isPage ? 'text/html' : 'text/javascript');
          response.end(isPage ? PAGE : script);
        }),
      );
      const here = await startBrokerHere(endpoint, { CORS_ALLOWED_ORIGINS: origin });
      const closed = await startBrokerHere(endpoint);
      const page = await browser().newPage();
      onTestFinished(() => page.close());
      await page.goto(origin);
      await page.waitForFunction(() => 'createBroker' in globalThis);
      const answer = await page.evaluate(async (url) => {
        const createBroker = Reflect.get(globalThis, 'createBroker') as CreateBroker;
        const broker = createBroker({
          url,
          token: 'dev-track-token',
          holder: 'page',
          correlationId: 'page-1',
        });
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
      const unheard = await page.evaluate(async (url) => {
        const createBroker = Reflect.get(globalThis, 'createBroker') as CreateBroker;
        const failing = createBroker({ url, token: 'dev-track-token', retries: 0 }).allocate();
        return failing.then(
          () => 'a lease',
          (error: Error) => error.message,
        );
      }, closed.url);
      expect(unheard).toContain(`CORS_ALLOWED_ORIGINS has to name that`);
      expect(unheard).toContain(origin);
    });
  });
});
