import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { startBrokerInside } from '../support/broker/broker-inside.ts';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const WITHIN_MS = 60_000;
const POOL_SIZE = 3;
const read = (file: string): string =>
  readFileSync(new URL(`../../deploy/prometheus/${file}`, import.meta.url), 'utf8');

interface Alert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: string;
}

/** The project's own configuration and rules, as impatient as a test: a second stands for a minute. */
async function impatientFiles(folder: string, target: string): Promise<string> {
  const config = parse(read('prometheus.yml')) as {
    global: Record<string, string>;
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' };
  config.scrape_configs[0]!.static_configs = [{ targets: [target] }];
  const file = join(folder, 'prometheus.yml');
  await writeFile(file, stringify(config));
  await writeFile(join(folder, 'rules.yml'), read('rules.yml').replaceAll(/for: \d+m$/gm, 'for: 1s'));
  return file;
}

/** A Prometheus on a free port, ended with the test; gives its address. */
async function startPrometheus(target: string): Promise<string> {
  const folder = await temporaryFolder();
  const child = spawn(
    'prometheus',
    [
      `--config.file=${await impatientFiles(folder, target)}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const closed = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  const address = await until(() => /msg="Listening on" address=(\S+)/.exec(said)?.[1], {
    timeoutMs: WITHIN_MS,
    what: 'Prometheus listens',
  });
  return `http://${address}`;
}

async function query<T>(url: string, path: string): Promise<T> {
  const answer = (await (await fetch(`${url}/api/v1/${path}`)).json()) as { status: string; data: T };
  if (answer.status !== 'success') throw new Error(JSON.stringify(answer));
  return answer.data;
}

const installed = spawnSync('prometheus', ['--version']).error === undefined;
test.skipIf(!installed)(
  `a real Prometheus scrapes the broker, alerts when its pool is emptied, and stops when it is filled again${
    installed ? '' : ' (skipped: prometheus is not installed)'
  }`,
  async () => {
    const env = { SANDBOX_DB_URL: 'memory:', SIMULATED_POOL_SIZE: String(POOL_SIZE) };
    const broker = await startBrokerInside(env);
    await broker.logged('a pool', ({ created }) => created === POOL_SIZE);
    const prometheus = await startPrometheus(new URL(broker.url).host);
    const alert = async (name: string) =>
      (await query<{ alerts: Alert[] }>(prometheus, 'alerts')).alerts.find(
        ({ labels }) => labels['alertname'] === name,
      );
    const free = async () =>
      (
        await query<{ result: { value: [number, string] }[] }>(
          prometheus,
          'query?query=job:broker_pool_available:fresh',
        )
      ).result[0]?.value[1];

    await until(async () => (await free()) === String(POOL_SIZE), {
      timeoutMs: WITHIN_MS,
      what: 'Prometheus knows the pool',
    });
    expect(await alert('BrokerPoolEmpty')).toBeUndefined();
    expect(await alert('BrokerDown')).toBeUndefined();

    const leases = await Promise.all(
      Array.from({ length: POOL_SIZE }, (_, index) => broker.allocate(`student-${index}`)),
    );
    expect((await broker.allocate('one-too-many')).status).toBe(409);
    // Any run that ends has the pool counted, so that nobody waits for the next count.
    await broker.admin('POST', '/v1/admin/expire');
    const fired = await until(
      async () => {
        const found = await alert('BrokerPoolEmpty');
        return found?.state === 'firing' ? found : undefined;
      },
      { timeoutMs: WITHIN_MS, what: 'the alert fires' },
    );
    expect(fired.labels).toMatchObject({ severity: 'critical', job: 'sandbox-broker' });
    expect(fired.annotations['summary']).toBe('No sandbox is free.');

    await broker.mark(String(leases[0]?.json.sandbox_id), 'student-0');
    await broker.admin('POST', '/v1/admin/cleanup');
    await until(async () => (await alert('BrokerPoolEmpty')) === undefined, {
      timeoutMs: WITHIN_MS,
      what: 'the alert is over',
    });

    expect((await query<{ groups: { rules: { health: string }[] }[] }>(prometheus, 'rules')).groups).toEqual([
      expect.objectContaining({
        rules: expect.not.arrayContaining([expect.objectContaining({ health: 'err' })]),
      }),
    ]);
    expect((await broker.stop()).code).toBe(0);
    await until(async () => (await alert('BrokerDown'))?.state === 'firing', {
      timeoutMs: WITHIN_MS,
      what: 'nobody answers',
    });
  },
);
