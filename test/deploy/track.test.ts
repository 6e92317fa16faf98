import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { createBroker } from '../../src/client/index.ts';
import { refusal, startFront } from '../client/front.ts';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/track.sh', import.meta.url));

const PLAIN = { PATH: '/usr/bin:/bin', BROKER_API_TOKEN: 'dev-track-token' };

interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs the script as a lab's machine does, with nothing in its environment but what is named here. */
function track(action: string, env: Record<string, string>): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { env: { ...PLAIN, ...env } };
    execFile('sh', [SCRIPT, ...(action === '' ? [] : [action])], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const setUp = async (here: BrokerHere, holder = 'vm-1') => {
  const file = join(await temporaryFolder(), 'sandbox.env');
  return { env: { BROKER_URL: here.url, TRACK_HOLDER: holder, TRACK_FILE: file }, file };
};

const allocated = async (here: BrokerHere) =>
  (await here.asAdmin('GET', '/v1/admin/sandboxes?status=allocated')).json['sandboxes'] as {
    sandbox_id: string;
    track_name?: string;
  }[];

const idIn = async (file: string) => /^SANDBOX_ID='(.+)'$/m.exec(await readFile(file, 'utf8'))?.[1];

describeOnFastEngine("a track's shell script", ({ endpoint }) => {
  test('takes a sandbox, the same one when it runs again, and gives it back', async () => {
    const here = await startBrokerHere(endpoint);
    const { env, file } = await setUp(here);
    const first = await track('setup', { ...env, TRACK_LAB: 'intro', TRACK_PREFIX: 'lab-' });
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const text = await readFile(file, 'utf8');
    expect(text).toMatch(
      /^SANDBOX_ID='[\w-]+'\nSANDBOX_NAME='lab-\d+'\nSANDBOX_EXTERNAL_ID='[^']+'\nSANDBOX_EXPIRES_AT='\d{10}'\nSANDBOX_HOLDER='vm-1'\n$/,
    );
    const id = await idIn(file);
    expect(first.stdout).toMatch(
      new RegExp(`^track.sh: vm-1 took lab-\\d+ \\(${id}\\), for 2[34]\\d minutes\n$`),
    );
    const again = await track('setup', { ...env, TRACK_LAB: 'intro', TRACK_PREFIX: 'lab-' });
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining(`has already lab-`) });
    expect(await readFile(file, 'utf8')).toBe(text);
    expect(await allocated(here)).toMatchObject([{ sandbox_id: await idIn(file), track_name: 'intro' }]);
    expect(await track('cleanup', env)).toEqual({
      status: 0,
      stdout: `track.sh: vm-1 gave back ${id}\n`,
      stderr: '',
    });
    await expect(access(file)).rejects.toThrow();
    expect(await allocated(here)).toEqual([]);
    const nothing = { status: 0, stdout: expect.stringContaining('nothing to give back'), stderr: '' };
    expect(await track('cleanup', env)).toEqual(nothing);
  });

  test('asks for a time of its own, extends it on request, and says so when it is over', async () => {
    const here = await startBrokerHere(endpoint);
    const { env, file } = await setUp(here);
    const endIn = async () => Number(/^SANDBOX_EXPIRES_AT='(\d+)'$/m.exec(await readFile(file, 'utf8'))?.[1]);
    expect(await track('extend', env)).toMatchObject({ status: 1, stdout: '' });
    const taken = await track('setup', { ...env, TRACK_LEASE_MIN: '10' });
    expect(taken.stdout).toMatch(/, for (9|10) minutes\n$/);
    const before = await endIn();
    const extended = await track('extend', { ...env, TRACK_EXTEND_MIN: '30' });
    expect(extended).toMatchObject({ status: 0, stderr: '' });
    expect(extended.stdout).toMatch(/^track.sh: vm-1 has \S+ for (29|30) minutes more\n$/);
    expect((await endIn()) - before).toBeGreaterThanOrEqual(20 * 60);
    const id = await idIn(file);
    await here.asAdmin('POST', `/v1/admin/sandboxes/${id}/release`);
    const late = { status: 3, stdout: '', stderr: expect.stringContaining(`the lease of ${id} is over`) };
    expect(await track('extend', env)).toEqual(late);
    for (const wrong of [{ TRACK_LEASE_MIN: '1.5' }, { TRACK_EXTEND_MIN: 'all' }]) {
      expect(await track('extend', { ...env, ...wrong })).toMatchObject({ status: 2 });
    }
  });

  test('a clean-up after the end of the lease is done: given back, taken by the next holder, or gone', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const { env, file } = await setUp(here);
    const over = { status: 0, stdout: expect.stringContaining('was over already'), stderr: '' };
    await track('setup', env);
    const id = await idIn(file);
    await here.asAdmin('POST', `/v1/admin/sandboxes/${id}/release`);
    await here.asAdmin('POST', '/v1/admin/cleanup');
    const next = await here.asTrack('POST', '/v1/allocate', 'vm-2');
    expect(next.json['sandbox_id']).toBe(id);
    expect(await track('cleanup', env)).toEqual(over);
    await expect(access(file)).rejects.toThrow();
    expect(await allocated(here)).toMatchObject([{ sandbox_id: id }]);
    const front = await startFront(here.url);
    for (const [status, code] of [
      [404, 'SANDBOX_NOT_FOUND'],
      [409, 'INVALID_STATE'],
    ] as const) {
      await writeFile(file, `SANDBOX_ID='${id}'\nSANDBOX_HOLDER='vm-1'\n`);
      front.answer(refusal(status, code));
      expect(await track('cleanup', { ...env, BROKER_URL: front.url })).toEqual(over);
    }
  });

  test('a clean-up that is refused for another reason has given nothing back, and keeps the file', async () => {
    const here = await startBrokerHere(endpoint);
    const { env, file } = await setUp(here);
    await track('setup', env);
    const front = await startFront(here.url);
    const refused = async (more: Record<string, string>, status: number, reason: string) => {
      const ran = await track('cleanup', { ...env, ...more });
      expect(ran).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(reason) });
      expect(await idIn(file)).toBeDefined();
    };
    await refused({ BROKER_API_TOKEN: 'wrong-token' }, 3, '401: UNAUTHORIZED');
    await refused({ BROKER_API_TOKEN: 'dev-admin-token' }, 3, '403: FORBIDDEN');
    await refused({ BROKER_URL: `${here.url}/elsewhere` }, 3, '404: NOT_FOUND');
    front.answer({ status: 404, body: '<h1>Not found</h1>' });
    await refused({ BROKER_URL: front.url }, 3, 'refused with 404');
    await refused({ TRACK_HOLDER: 'vm-2' }, 1, 'is of the holder vm-1');
    expect(await allocated(here)).toHaveLength(1);
  });

  test('slashes at the end of the address do no harm', async () => {
    const here = await startBrokerHere(endpoint);
    const { env } = await setUp(here);
    const given = { ...env, BROKER_URL: `${here.url}//` };
    expect(await track('setup', given)).toMatchObject({ status: 0 });
    expect(await track('cleanup', given)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('gave back'),
    });
  });

  test('takes no sandbox whose ids it could not keep', async () => {
    const here = await startBrokerHere(endpoint);
    const { env } = await setUp(here);
    const folder = await temporaryFolder();
    for (const file of [join(folder, 'no-such-folder', 'sandbox.env'), folder, join(SCRIPT, 'sandbox.env')]) {
      const ran = await track('setup', { ...env, TRACK_FILE: file });
      expect(ran).toMatchObject({
        status: 1,
        stdout: '',
        stderr: expect.stringContaining('Nothing was taken'),
      });
    }
    expect(await here.metric('broker_allocate_total{outcome="success"}')).toBe(0);
  });

  test('gets a live lease where an Idempotency-Key of the holder’s name remembers one that is over', async () => {
    const here = await startBrokerHere(endpoint);
    const { env, file } = await setUp(here);
    const byKey = createBroker({ url: here.url, token: 'dev-track-token', holder: 'vm-1' });
    const chosen = { idempotencyKey: 'vm-1' };
    await (await byKey.allocate(chosen)).release();
    expect(await byKey.allocate(chosen)).toMatchObject({ leaseOver: true });
    expect(await track('setup', env)).toMatchObject({ status: 0, stdout: expect.stringContaining('took') });
    expect(await allocated(here)).toMatchObject([{ sandbox_id: await idIn(file) }]);
  });

  test('waits for a broker that is down at first, and for an answer that was lost', async () => {
    const here = await startBrokerHere(endpoint);
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(here.url).port) });
    onTestFinished(() => proxy.close());
    const { env, file } = await setUp(here);
    await proxy.behave({ kind: 'refuse' });
    const given = { ...env, BROKER_URL: proxy.endpoint };
    const late = await track('setup', { ...given, TRACK_WAIT_SEC: '1' });
    expect(late).toMatchObject({ status: 4, stderr: expect.stringContaining('given up after 1 s') });
    const run = track('setup', given);
    proxy.swallowResponses(1, /allocate/);
    await proxy.behave({ kind: 'pass' });
    const ran = await run;
    expect(ran).toMatchObject({ status: 0, stderr: expect.stringContaining('again in 1 s') });
    expect(proxy.swallowedResponses).toBe(1);
    expect(await allocated(here)).toMatchObject([{ sandbox_id: await idIn(file) }]);
  });

  const waitingAt = async (here: BrokerHere) => (await here.asAdmin('GET', '/v1/admin/line')).json['waiting'];

  test('waits in line while none is free, and is served before who asks later', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const { env, file } = await setUp(here);
    const other = await here.asTrack('POST', '/v1/allocate', 'vm-0');
    expect(await track('setup', { ...env, TRACK_WAIT_SEC: '1' })).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('given up after 1 s: waiting in line: place 1 of 1'),
    });
    expect(await waitingAt(here)).toBe(0);
    const run = track('setup', env);
    await until(async () => (await waitingAt(here)) === 1, { what: 'a line' });
    await here.asTrack('POST', `/v1/sandboxes/${other.json['sandbox_id']}/mark-for-deletion`, 'vm-0');
    await here.asAdmin('POST', '/v1/admin/cleanup');
    expect((await here.asTrack('POST', '/v1/allocate', 'vm-0')).status).toBe(409);
    expect(await run).toMatchObject({ status: 0, stdout: expect.stringContaining('vm-1 took'), stderr: '' });
    expect(await idIn(file)).toBe(other.json['sandbox_id']);
  });

  test('leaves the line when it is told to end', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const { env } = await setUp(here);
    await here.asTrack('POST', '/v1/allocate', 'vm-0');
    const run = spawn('sh', [SCRIPT, 'setup'], { env: { ...PLAIN, ...env }, stdio: 'ignore' });
    await until(async () => (await waitingAt(here)) === 1, { what: 'a line' });
    const ended = once(run, 'exit');
    run.kill('SIGTERM');
    expect(await ended).toEqual([143, null]);
    expect(await waitingAt(here)).toBe(0);
  });

  test('what is refused for good ends it at once, with a status that says so and no token', async () => {
    const here = await startBrokerHere(endpoint);
    const { env, file } = await setUp(here);
    const unknown = await track('setup', { ...env, BROKER_API_TOKEN: 'wrong-token' });
    expect(unknown).toMatchObject({ status: 3, stderr: expect.stringContaining('401: UNAUTHORIZED') });
    expect(unknown.stderr).not.toContain('wrong-token');
    await writeFile(file, 'SANDBOX_ID=$(reboot)\n');
    expect((await track('cleanup', env)).status).toBe(1);
    for (const [action, more] of [
      ['', {}],
      ['setup', { TRACK_HOLDER: '' }],
      ['setup', { TRACK_HOLDER: 'a"\nurl = "http://elsewhere' }],
      ['setup', { TRACK_HOLDER: 'a b' }],
      ['setup', { TRACK_WAIT_SEC: 'long' }],
    ] as const) {
      expect(await track(action, { ...env, ...more })).toMatchObject({ status: 2 });
    }
    expect(await allocated(here)).toEqual([]);
  });
});

test('any POSIX shell can read it', async () => {
  const checked = await new Promise<Ran>((resolve) => {
    execFile('sh', ['-n', SCRIPT], (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : 1, stdout, stderr }),
    );
  });
  expect(checked).toEqual({ status: 0, stdout: '', stderr: '' });
});
