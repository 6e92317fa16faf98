import { execFile, spawnSync } from 'node:child_process';
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { startApp } from '../support/broker/http-app.ts';
import { temporaryFolder } from '../support/temp-folder.ts';

/* What kustomize makes of the manifests, and what they let in and out. No cluster takes part. */

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(PROJECT, 'deploy/k8s');
const run = promisify(execFile);

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels: Record<string, string> };
}
interface Pods extends Manifest {
  spec: { template: { spec: { containers: { envFrom: { configMapRef: { name: string } }[] }[] } } };
}

/** The types of Kubernetes' own kinds, as its oldest version that is served describes them. */
const TYPES: Record<string, string> = {
  ConfigMap: 'core/v1',
  Service: 'core/v1',
  ServiceAccount: 'core/v1',
  Deployment: 'apps/v1',
  HorizontalPodAutoscaler: 'autoscaling/v2',
  Ingress: 'networking/v1',
  NetworkPolicy: 'networking/v1',
  PodDisruptionBudget: 'policy/v1',
};
/** Of the Prometheus operator, whose types are not here. */
const OTHERS = ['PrometheusRule', 'ServiceMonitor'];

async function render(folder: string): Promise<Manifest[]> {
  const { stdout } = await run('kubectl', ['kustomize', folder]);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest);
}

/** A copy with everything in it, also what is left out of the list. */
async function wholeCopy(): Promise<string> {
  const folder = join(await temporaryFolder(), 'k8s');
  await cp(FOLDER, folder, { recursive: true });
  const file = join(folder, 'kustomization.yml');
  await writeFile(file, (await readFile(file, 'utf8')).replace('# - ingress', '- ingress'));
  return folder;
}

const named = (manifests: Manifest[], kind: string): Manifest => {
  const found = manifests.filter((each) => each.kind === kind);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`there are ${found.length} of ${kind}`);
  return found[0];
};
const settingsOf = (manifests: Manifest[]): string => {
  const { spec } = named(manifests, 'Deployment') as Pods;
  return spec.template.spec.containers[0]?.envFrom[0]?.configMapRef.name ?? '';
};

const installed = spawnSync('kubectl', ['version', '--client']).error === undefined;
const skipped = installed ? '' : ' (skipped: kubectl is not installed)';

describe.skipIf(!installed)(`what kustomize makes${skipped}`, () => {
  test('is each manifest once, and of the kinds that Kubernetes 1.30 knows, field by field', async () => {
    const manifests = await render(await wholeCopy());
    const kinds = manifests.map(({ kind }) => kind).sort();
    expect(kinds).toEqual([...Object.keys(TYPES), ...OTHERS].sort());
    const own = manifests.filter(({ kind }) => !OTHERS.includes(kind));
    const module = own.map(
      ({ kind }, n) => `import type { ${kind} as K${n} } from 'kubernetes-types/${TYPES[kind]}';
export const of${kind}: K${n} = ${JSON.stringify(own[n], null, 1)};`,
    );
    const folder = await temporaryFolder();
    await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'manifests.ts'), module.join('\n'));
    const options = [
      '--noEmit',
      '--strict',
      '--types',
      '',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
    ];
    const compiler = join(PROJECT, 'node_modules/.bin/tsc');
    const { stdout } = await run(compiler, [...options, 'manifests.ts'], { cwd: folder }).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });

  test('rolls out when a setting changes, and only then', async () => {
    const folder = await wholeCopy();
    const before = await render(folder);
    expect(named(before, 'ConfigMap').metadata.name).toBe(settingsOf(before));
    expect(await render(folder)).toEqual(before);
    const file = join(folder, 'broker.env');
    const settings = await readFile(file, 'utf8');
    await writeFile(file, settings.replace('LAB_DURATION_HOURS=4', 'LAB_DURATION_HOURS=5'));
    const after = await render(folder);
    expect(named(after, 'ConfigMap').metadata.name).toBe(settingsOf(after));
    expect(settingsOf(after)).not.toBe(settingsOf(before));
  });

  test('leaves out what a cluster lacks: the Prometheus operator, an ingress', async () => {
    expect((await render(FOLDER)).map(({ kind }) => kind)).not.toContain('Ingress');
    const folder = await wholeCopy();
    const file = join(folder, 'kustomization.yml');
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^components:\n(?: {2}.*\n)+/m, ''));
    const kinds = (await render(folder)).map(({ kind }) => kind);
    expect(kinds.sort()).toEqual(
      Object.keys(TYPES)
        .filter((kind) => kind !== 'Ingress')
        .sort(),
    );
  });
});

const read = async <T>(file: string): Promise<T> => parse(await readFile(join(PROJECT, file), 'utf8')) as T;

test('the PrometheusRule has the alert rules; vitest -u writes it anew', async () => {
  const { groups } = await read<{ groups: unknown }>('deploy/prometheus/rules.yml');
  const rule = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'sandbox-broker', labels: { 'app.kubernetes.io/name': 'sandbox-broker' } },
    spec: { groups },
  };
  const header = `# Made of deploy/prometheus/rules.yml, which is the one to change: npx vitest run test/deploy -u
# Your Prometheus may look for rules by a label, such as release: prometheus; give it that in kustomization.yml.
`;
  await expect(header + stringify(rule, { lineWidth: 0 })).toMatchFileSnapshot(
    join(FOLDER, 'monitoring/prometheus-rule.yml'),
  );
});

interface Ingress {
  spec: { rules: { http: { paths: { path: string; pathType: string }[] } }[] };
}

test('the ingress lets in what callers and operators need, and keeps metrics and probes inside', async () => {
  const { spec } = await read<Ingress>('deploy/k8s/ingress/ingress.yml');
  const paths = spec.rules.flatMap(({ http }) => http.paths);
  expect(paths.map(({ pathType }) => pathType)).toEqual(paths.map(() => 'Prefix'));
  // A prefix is one of whole segments.
  const isLetIn = (url: string) => paths.some(({ path }) => `${url}/`.startsWith(`${path}/`));
  const { app } = await startApp();
  const routes = [...new Set(app.knownRoutes.map(({ url }) => url))];
  expect(routes.filter((url) => !isLetIn(url)).sort()).toEqual(['/', '/healthz', '/metrics', '/readyz']);
  expect(routes.filter(isLetIn)).toEqual(
    expect.arrayContaining(['/v1/allocate', '/v1/admin/stream', '/console']),
  );
});

interface Policy {
  spec: {
    egress: { to?: { ipBlock?: { cidr: string } }[]; ports: { protocol: string; port: number }[] }[];
  };
}

test('the network policy lets the broker ask the node’s name cache and its pod identity, not the node’s role', async () => {
  const { spec } = await read<Policy>('deploy/k8s/network-policy.yml');
  const lets = (address: string, protocol: string, port: number) =>
    spec.egress.some(
      ({ to = [], ports }) =>
        ports.some((each) => each.protocol === protocol && each.port === port) &&
        to.some(({ ipBlock }) => ipBlock?.cidr === `${address}/${isIPv4(address) ? 32 : 128}`),
    );
  expect([lets('169.254.20.10', 'UDP', 53), lets('169.254.20.10', 'TCP', 53)]).toEqual([true, true]);
  expect([lets('169.254.170.23', 'TCP', 80), lets('fd00:ec2::23', 'TCP', 80)]).toEqual([true, true]);
  expect(lets('169.254.169.254', 'TCP', 80)).toBe(false);
  const anywhere = spec.egress.filter(({ to }) => to === undefined).flatMap(({ ports }) => ports);
  expect(anywhere).toEqual([{ protocol: 'TCP', port: 443 }]);
});
