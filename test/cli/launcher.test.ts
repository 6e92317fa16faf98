import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { OWN_ENVIRONMENT } from '../support/broker/broker-process.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { PROJECT, run } from './run-cli.ts';

const LAUNCHER = join(PROJECT, 'bin/sandbox-broker');
const VERSION = '0.1.0\n';

test('it finds the project’s own Node, also through the link that npm makes', async () => {
  const link = join(await temporaryFolder(), 'sandbox-broker');
  await symlink(LAUNCHER, link);
  expect(await run(link, ['--version'])).toEqual({ code: 0, stdout: VERSION, stderr: '' });
});

test('it says what is missing: the Node, or the sources', async () => {
  const folder = await temporaryFolder();
  const copy = join(folder, 'bin/sandbox-broker');
  await mkdir(dirname(copy));
  await copyFile(LAUNCHER, copy);
  // A machine with another Node on its path, or with none.
  const path = { PATH: `${join(folder, 'tools')}:/usr/bin:/bin` };
  expect(await run(copy, [])).toMatchObject({ code: 1, stderr: expect.stringContaining('a checkout') });
  await mkdir(join(folder, 'src/cli'), { recursive: true });
  await writeFile(join(folder, 'src/cli/main.ts'), '');
  await mkdir(join(folder, 'tools'));
  await writeFile(join(folder, 'tools/node'), '#!/bin/sh\necho 20\n', { mode: 0o755 });
  expect(await run(copy, [], { env: path })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('npm ci'),
  });
});

test('serve is the server itself: it takes its flags, and a SIGTERM ends it in order', async () => {
  const child = spawn(LAUNCHER, ['serve', '--port', '0', '--db', 'memory:'], {
    env: { ...OWN_ENVIRONMENT, PATH: '/usr/bin:/bin', PORT: '1', LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    const { action, outcome, url } = JSON.parse(line) as { action?: string; outcome?: string; url?: string };
    if (action !== 'start' || outcome !== 'success') continue;
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    break;
  }
  child.stdout.resume();
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

describeOnFastEngine('on a terminal', ({ endpoint }) => {
  test('long work shows a bar on standard error, and nowhere else', async () => {
    const here = await startBrokerHere(endpoint);
    const folder = await temporaryFolder();
    const output = join(folder, 'pool.json');
    const command = `${LAUNCHER} export --output ${output} --url ${here.url}`;
    // A terminal of its own, whose screen is what comes back.
    const screen = await run('script', ['-qec', command, '/dev/null'], { env: { TERM: 'xterm' } });
    expect(screen.stdout).toMatch(/exporting .*5\/5/);
    const piped = await run('script', ['-qec', `${command} 2>${folder}/errors`, '/dev/null'], {
      env: { TERM: 'xterm' },
    });
    expect(piped).toMatchObject({ code: 0, stdout: '' });
    expect(await readFile(join(folder, 'errors'), 'utf8')).toBe('');
  });
});
