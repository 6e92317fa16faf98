import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DCLinter } from 'dclint';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/index.ts';
import { VARIABLES } from '../../src/config/variables.ts';
import { startCommand } from '../support/broker/start-command.ts';

const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const read = (file: string): string => readFileSync(pathOf(file), 'utf8');

interface Service {
  image?: string;
  build?: string;
  ports?: string[];
  environment?: Record<string, string>;
  healthcheck?: { test: string[] };
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  stop_grace_period?: string;
}

const { services } = parse(read('docker-compose.yml')) as { services: Record<string, Service> };
const dockerfile = read('Dockerfile');
const stages = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map((match) => match[1] ?? '');
const finalStage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
/** What the image's `ENV` sets; the container's own environment comes on top. */
const imageEnvironment = Object.fromEntries(
  [...finalStage.replaceAll('\\\n', ' ').matchAll(/^ENV (.*)$/gm)].flatMap(([, line = '']) =>
    line
      .trim()
      .split(/\s+/)
      .map((pair) => pair.split('=') as [string, string]),
  ),
);
const containerPort = (published: string): number => Number(published.split(':').at(-1));

describe('the image', () => {
  test('is described without a mistake', () => {
    expect(validate(dockerfile)).toEqual([]);
  });

  test("is built on the Node version that the project's tests run on", () => {
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
    const major = /\d+/.exec(devDependencies.node)?.[0];
    expect(stages).toEqual([`node:${major}-slim`, `node:${major}-slim`]);
  });

  test('runs as an ordinary user, and signals reach the broker without a shell in between', () => {
    expect(finalStage).toMatch(/^USER node$/m);
    const [, command = ''] = /^CMD (\[.*\])$/m.exec(finalStage) ?? [];
    expect(JSON.parse(command)).toEqual(['node', ...startCommand().args]);
  });

  test('brings its modules compiled, with the flags that it starts with: others would compile them again', () => {
    const { args, env } = startCommand();
    const flags = args.filter((arg) => arg.startsWith('--'));
    const [, build = ''] = /^RUN (\[.*\])$/m.exec(finalStage) ?? [];
    expect(JSON.parse(build).slice(0, -2)).toEqual(['node', ...flags]);
    expect(Object.keys(imageEnvironment)).toEqual(expect.arrayContaining(Object.keys(env)));
  });

  test('listens on every address, and says how to ask after its health', () => {
    expect(imageEnvironment).toMatchObject({ HOST: '0.0.0.0', NODE_ENV: 'production' });
    expect(finalStage).toMatch(new RegExp(`^EXPOSE ${imageEnvironment.PORT}$`, 'm'));
    expect(finalStage).toMatch(/HEALTHCHECK[\s\S]*\/healthz/);
  });

  test('refuses to start with nothing but its own environment', () => {
    expect(() => loadConfig(imageEnvironment)).toThrow('SANDBOX_DB_URL');
  });
});

describe('the composition', () => {
  test('is described without a mistake', () => {
    const [result] = new DCLinter({ rules: {}, quiet: false, debug: false, exclude: [] }).lintFiles(
      [pathOf('docker-compose.yml')],
      false,
    );
    expect(result?.messages).toEqual([]);
  });

  test('pins the version of every image it pulls', () => {
    const images = Object.values(services).flatMap((service) => service.image ?? []);
    expect(images).toHaveLength(3);
    for (const image of images) expect(image).toMatch(/^[a-z]+\/[a-z-]+:v?\d+\.\d+\.\d+$/);
  });

  test('sets only variables the broker knows, and the broker starts with them', () => {
    const environment = { ...imageEnvironment, ...services.broker?.environment };
    const known = [...Object.keys(VARIABLES), ...Object.keys(startCommand().env)];
    expect(known).toEqual(expect.arrayContaining(Object.keys(environment)));
    const config = loadConfig(environment);
    expect(config.store).toMatchObject({ kind: 'endpoint', url: 'http://dynamodb:8000' });
    expect(services).toHaveProperty('dynamodb');
    expect(services.broker?.ports?.map(containerPort)).toEqual([config.port]);
  });

  test('gives a shutdown more time than the broker takes', () => {
    const seconds = Number(services.broker?.stop_grace_period?.replace('s', ''));
    expect(seconds * 1000).toBeGreaterThan(loadConfig({}).shutdownTimeoutMs);
  });

  test('publishes nothing beyond this machine, and starts each service after what it needs', () => {
    for (const service of Object.values(services)) {
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
      expect(service.build ?? service.healthcheck?.test[0]).toMatch(/^(\.|CMD)$/);
    }
    expect(services.broker?.depends_on).toEqual({ dynamodb: { condition: 'service_healthy' } });
  });
});

describe('what the composition mounts', () => {
  const mounts = Object.values(services)
    .flatMap((service) => service.volumes ?? [])
    .filter((mount) => mount.startsWith('./'))
    .map((mount) => mount.split(':'));

  test('is there, and cannot be written from inside', () => {
    expect(mounts).toHaveLength(4);
    for (const [source = '', , mode] of mounts) {
      expect(existsSync(pathOf(source)), source).toBe(true);
      expect(mode).toBe('ro');
    }
  });

  test('is where Prometheus looks for its rules, and Grafana for the dashboard and its data', () => {
    const targetOf = (file: string) => mounts.find(([source]) => source === file)?.[1];
    const config = parse(read('deploy/prometheus/prometheus.yml')) as { rule_files: string[] };
    expect(config.rule_files.map((file) => `/etc/prometheus/${file}`)).toEqual([
      targetOf('./deploy/prometheus/rules.yml'),
    ]);
    const dashboards = parse(read('deploy/grafana/provisioning/dashboards/sandbox-broker.yml')) as {
      providers: { options: { path: string } }[];
    };
    const folder = dashboards.providers[0]?.options.path;
    expect(targetOf('./deploy/grafana/sandbox-broker.json')).toBe(`${folder}/sandbox-broker.json`);
    const sources = parse(read('deploy/grafana/provisioning/datasources/prometheus.yml')) as {
      datasources: { url: string }[];
    };
    const port = services['prometheus']?.ports?.map(containerPort)[0];
    expect(sources.datasources.map(({ url }) => url)).toEqual([`http://prometheus:${port}`]);
  });
});

describe('Prometheus', () => {
  test('scrapes the broker where it listens', () => {
    const { scrape_configs: jobs } = parse(read('deploy/prometheus/prometheus.yml')) as {
      scrape_configs: { metrics_path: string; static_configs: { targets: string[] }[] }[];
    };
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      metrics_path: '/metrics',
      static_configs: [{ targets: [`broker:${imageEnvironment.PORT}`] }],
    });
  });

  const installed = spawnSync('promtool', ['--version']).error === undefined;
  test.skipIf(!installed)(
    `takes its configuration${installed ? '' : ' (skipped: promtool is not installed)'}`,
    () => {
      const checked = spawnSync('promtool', ['check', 'config', pathOf('deploy/prometheus/prometheus.yml')]);
      expect(checked.status).toBe(0);
    },
  );
});
