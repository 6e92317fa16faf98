import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type BrokerOptions,
  type BrokerProcess,
  PROCESS_TIMES,
  startBroker,
  startInVain,
} from '../support/broker/broker-process.ts';
import { freePort } from '../support/listen.ts';
import { enginesWith } from '../support/processes.ts';
import { temporaryFolder } from '../support/temp-folder.ts';

vi.setConfig(PROCESS_TIMES);

const README = new URL('../../README.md', import.meta.url);
const SEPARATOR = '<<< next >>>';

/** The commands of a section of the README, one text per block. */
async function commandsOf(section: string): Promise<string[]> {
  const text = await readFile(README, 'utf8');
  const start = text.indexOf(`\n## ${section}\n`);
  if (start < 0) throw new Error(`the README has no section ${section}`);
  const body = text.slice(start + 1).split(/\n## /)[0] ?? '';
  return [...body.matchAll(/```sh\n(.*?)```/gs)].map(([, commands = '']) => commands);
}

/** Pastes the blocks into one shell, in their order, and gives what each of them printed. */
async function paste(blocks: readonly string[], url: string): Promise<string[]> {
  const script = blocks.join(`\nprintf '\\n%s\\n' '${SEPARATOR}'\n`).replaceAll('http://127.0.0.1:8080', url);
  const { stdout } = await promisify(execFile)('bash', ['-c', script]);
  return stdout.split(SEPARATOR).map((output) => output.trim());
}

const jsonIn = (output: string | undefined): Record<string, unknown>[] =>
  [...(output ?? '').matchAll(/\{.*?\}(?=$|\n|\{)/gm)].map(([text]) => JSON.parse(text));

const poolIsThere = (broker: BrokerProcess) =>
  broker.logged('a pool of twenty', ({ created }) => created === 20);

describe('without any configuration', () => {
  test('a broker starts, tells its tokens, keeps its data below ./data, and does what the README shows', async () => {
    const cwd = await temporaryFolder();
    const broker = await startBroker({ cwd, unconfigured: true });
    await poolIsThere(broker);

    expect(new URL(broker.url).hostname).toBe('127.0.0.1');
    expect(await readdir(cwd)).toEqual(['data']);
    const told = broker.logs.map(({ msg }) => msg).join('\n');
    expect(told).toContain('dev-track-token');
    expect(told).toContain('dev-admin-token');
    expect(broker.stderr()).toBe('');

    const [, ...outputs] = await paste(await commandsOf('Try it'), broker.url);
    const [lease] = jsonIn(outputs[0]);
    expect(lease?.['sandbox_id']).toEqual(expect.any(String));
    expect(outputs[1]).toMatch(/^HTTP\/1\.1 200 /);
    expect(outputs[1]).toMatch(/^idempotency-replayed: true\r?$/im);
    expect(jsonIn(outputs[1])).toEqual([lease]);
    const sandbox_id = lease?.['sandbox_id'];
    expect(jsonIn(outputs[2])).toMatchObject([{ sandbox_id, status: 'pending_deletion' }]);
    expect(outputs[3]).toContain('"recycled":1');
    expect(outputs[3]).toContain(`"sandbox_id":"${sandbox_id}"`);
    expect(outputs[3]).toContain('"status":"available"');
    for (const action of ['sync_created', 'allocate', 'mark_for_deletion', 'cleanup_recycled']) {
      expect(outputs[3]).toContain(`"action":"${action}"`);
    }
  });

  test('what the README shows works as one script that begins before the broker listens', async () => {
    const cwd = await temporaryFolder();
    const port = await freePort();
    const commands = await commandsOf('Try it');
    const pasted = paste(commands, `http://127.0.0.1:${port}`);
    await startBroker({ cwd, unconfigured: true, env: { PORT: String(port) } });
    const [ready, lease, again, returned, cleaned] = await pasted;
    expect(jsonIn(ready)).toMatchObject([{ status: 'ready', checks: { pool: 'ok' } }]);
    expect(jsonIn(lease)).toMatchObject([{ sandbox_id: expect.any(String) }]);
    expect(jsonIn(again)).toEqual(jsonIn(lease));
    expect(jsonIn(returned)).toMatchObject([{ status: 'pending_deletion' }]);
    expect(cleaned).toContain('"recycled":1');
  });

  test('a restart keeps the leases', async () => {
    const cwd = await temporaryFolder();
    const first = await startBroker({ cwd, unconfigured: true });
    await poolIsThere(first);
    const lease = await first.allocate('student');
    expect(await first.stop()).toEqual({ code: 0, signal: null });

    const second = await startBroker({ cwd, unconfigured: true });
    const replay = await second.allocate('student');
    expect(replay.status).toBe(200);
    expect(replay.json).toEqual(lease.json);
  });
});

describe('what stops the start is one clear sentence and exit 1', () => {
  /** Its one line on standard error, after it is made sure that nothing else was said there, and nothing is left. */
  async function sentenceOf(options: BrokerOptions & { cwd: string }): Promise<string> {
    const { code, signal, stderr, logs } = await startInVain(options);
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+|\w+Error\b|undefined|\[object/);
    expect(logs.filter(({ level }) => level === 'fatal')).toEqual([]);
    expect(enginesWith(options.cwd)).toEqual([]);
    return stderr;
  }

  const inFolder = (cwd: string, name = 'pool.db') => ({ SANDBOX_DB_URL: `embedded:${join(cwd, name)}` });

  test('a port in use', async () => {
    const cwd = await temporaryFolder();
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const sentence = await sentenceOf({ cwd, env: { ...inFolder(cwd), PORT: String(port) } });
    expect(sentence).toContain(`Port ${port} on 127.0.0.1 is in use`);
    expect(sentence).toContain('PORT');
  });

  test('a data folder that is a file', async () => {
    const cwd = await temporaryFolder();
    await writeFile(join(cwd, 'data'), 'not a folder');
    const sentence = await sentenceOf({ cwd });
    expect(sentence).toContain('data/sandbox-broker.db cannot be used');
    expect(sentence).toContain('SANDBOX_DB_URL');
  });

  test('a folder that cannot be written', async () => {
    const cwd = await temporaryFolder();
    const env = { SANDBOX_DB_URL: 'embedded:/proc/no-such-folder/pool.db' };
    expect(await sentenceOf({ cwd, env })).toContain('/proc/no-such-folder/pool.db cannot be used');
  });

  test('a variable that cannot be read', async () => {
    const cwd = await temporaryFolder();
    const sentence = await sentenceOf({ cwd, env: { CLEANUP_CONCURRENCY: 'many' } });
    expect(sentence).toContain('CLEANUP_CONCURRENCY is "many": it must be a whole number');
    const hidden = await sentenceOf({ cwd, env: { BROKER_ADMIN_TOKEN: 'a secret with spaces' } });
    expect(hidden).toContain('BROKER_ADMIN_TOKEN');
    expect(hidden).not.toContain('a secret');
    expect(await readdir(cwd)).toEqual([]);
  });

  test('another number of buckets than the table was laid out with', async () => {
    const cwd = await temporaryFolder();
    const first = await startBroker({ cwd, env: inFolder(cwd) });
    await first.stop();
    const sentence = await sentenceOf({ cwd, env: { ...inFolder(cwd), DDB_BUCKETS: '8' } });
    expect(sentence).toContain('laid out with 4 buckets, DDB_BUCKETS says 8');
  });

  test('a file that another broker works on, and that one goes on undisturbed', async () => {
    const cwd = await temporaryFolder();
    const first = await startBroker({ cwd, unconfigured: true });
    await poolIsThere(first);
    const { code, stderr } = await startInVain({ cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^[^\n]*sandbox-broker\.db is in use by another broker's engine at http[^\n]*\n$/);
    expect(stderr).toContain('SANDBOX_DB_URL=http://127.0.0.1:');
    expect(enginesWith(cwd)).toHaveLength(1);
    expect((await first.allocate('student')).status).toBe(201);
  });

  test('a store that nobody answers for', async () => {
    const cwd = await temporaryFolder();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    const sentence = await sentenceOf({ cwd, env: { SANDBOX_DB_URL: `http://127.0.0.1:${port}` } });
    expect(sentence).toContain('The store does not answer');
  });
});
