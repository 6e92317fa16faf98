import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { findEngine } from '../../../src/store/engine/binaries.ts';
import { startEngine } from '../../../src/store/engine/engine.ts';
import { engineLock } from '../../../src/store/engine/file.ts';
import { engineAnswers } from '../../../src/store/engine/process.ts';
import { PROCESS_TIMES } from '../../support/broker/broker-process.ts';
import { enginesWith } from '../../support/processes.ts';
import {
  makeFolder,
  notInstalled,
  start,
  startBrokerProcess,
  startStranger,
  tableOn,
} from './engine-steps.ts';

vi.setConfig(PROCESS_TIMES);

let folder: string;
let file: string;

beforeEach(async () => {
  ({ folder, file } = await makeFolder());
});

async function fileAt(name: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, '');
  return path;
}

describe('the engine and its file', () => {
  test('memory keeps nothing and needs no file', async () => {
    const engine = await start(undefined);
    const table = tableOn(engine.endpoint);
    await table.create();
    await table.put('lease', 'held');
    await engine.stop();
    const again = await start(undefined);
    await expect(tableOn(again.endpoint).get('lease')).rejects.toThrow(/not found/i);
  });

  test('the folder is made', async () => {
    file = join(folder, 'not', 'yet', 'there', 'pool.db');
    await start(file);
    expect(existsSync(file)).toBe(true);
  });

  test.each([
    ['below a regular file', async () => join(await fileAt('plain'), 'pool.db')],
    ['a folder', async () => folder],
    ['where nobody can write', async () => '/proc/broker/pool.db'],
    ['directly in such a folder', async () => '/proc/pool.db'],
    ['a device', async () => '/dev/null'],
  ])('a path that is %s is refused with a sentence that names it', async (_what, makePath) => {
    const path = await makePath();
    const error = await startEngine({ file: path }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'EngineError', code: 'ENGINE_FILE_UNUSABLE' });
    expect(String(error)).toContain(path);
    expect(String(error)).toContain('SANDBOX_DB_URL');
    expect(String(error)).not.toContain('\n');
  });

  test('a file that is no database is refused in the words of the engine', async () => {
    await writeFile(file, 'not a database '.repeat(500));
    const error = await startEngine({ file, kind: 'dynoxide' }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ENGINE_FAILED' });
    expect(String(error)).toContain(file);
    expect(String(error)).toMatch(/not a valid SQLite database/);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  test('two brokers on one file: the second is told where the first one is', async () => {
    const first = await start(file);
    const error = await startEngine({ file }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ENGINE_FILE_IN_USE' });
    expect(String(error)).toContain(`SANDBOX_DB_URL=${first.endpoint}`);
    // The refusal has harmed neither the engine nor its lock.
    expect(await engineAnswers(first.endpoint, 1_000)).toBe(true);
    expect(await readFile(`${file}.lock`, 'utf8')).toContain(first.endpoint);
  });

  test('several brokers started at the same moment over a stale lock: exactly one gets the file', async () => {
    await writeFile(`${file}.lock`, '{"endpoint":"http://127.0.0.1:9"}');
    const brokers = await Promise.all(Array.from({ length: 4 }, () => startBrokerProcess({ file })));
    const endpoints = brokers.flatMap(({ started }) => ('endpoint' in started ? [started.endpoint] : []));
    const refusals = brokers.flatMap(({ started }) => ('code' in started ? [started.code] : []));
    expect(refusals).toEqual(Array(3).fill('ENGINE_FILE_IN_USE'));
    expect(endpoints).toHaveLength(1);
    expect(await readFile(`${file}.lock`, 'utf8')).toContain(endpoints[0]);
    expect(enginesWith(file)).toHaveLength(1);
  });

  test('of two that claim before either answers, the last one gets the file', async () => {
    const [first, second] = [engineLock(file), engineLock(file)];
    await first.claim('http://127.0.0.1:8');
    await second.claim('http://127.0.0.1:9');
    await expect(first.confirm('http://127.0.0.1:8')).rejects.toMatchObject({ code: 'ENGINE_FILE_IN_USE' });
    first.release('http://127.0.0.1:8');
    await second.confirm('http://127.0.0.1:9');
    expect(await readFile(`${file}.lock`, 'utf8')).toContain('http://127.0.0.1:9');
  });

  test('who claimed over an engine that was just being confirmed gives way to it', async () => {
    const stranger = await startStranger();
    await writeFile(`${file}.lock`, JSON.stringify({ endpoint: stranger.endpoint }));
    const late = engineLock(file);
    await late.claim('http://127.0.0.1:9');
    stranger.answer();
    await expect(late.confirm('http://127.0.0.1:9')).rejects.toMatchObject({ code: 'ENGINE_FILE_IN_USE' });
    expect(await readFile(`${file}.lock`, 'utf8')).toContain(stranger.endpoint);
  });

  test.each(['', 'garbage', '{"endpoint":"http://127.0.0.1:9"}', '{"endpoint":"http://example.com/"}'])(
    'a stale or broken lock (%j) is in nobody’s way',
    async (content) => {
      await writeFile(`${file}.lock`, content);
      const engine = await start(file);
      expect(await readFile(`${file}.lock`, 'utf8')).toContain(engine.endpoint);
    },
  );

  test('data of one engine is never silently replaced by an empty table of the other', async () => {
    await mkdir(`${file}.dynamodb-local`);
    const error = await findEngine(file, undefined, notInstalled).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ENGINE_MISSING' });
    expect(String(error)).toContain(`${file}.dynamodb-local holds data of the engine dynamodb-local`);
  });

  test.skipIf('missing' in inject('engines')['dynamodb-local'])(
    'data of one engine gets that engine',
    async () => {
      await mkdir(`${file}.dynamodb-local`);
      expect((await findEngine(file)).kind).toBe('dynamodb-local');
    },
  );
});
