import { readdirSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/index.ts';
import { VARIABLES } from '../../src/config/variables.ts';
import { startApp } from '../support/broker/http-app.ts';

/*
 * No cluster and no kubectl take part: what is tested is that the manifests fit each other and the broker. That the
 * API server takes them is for `kubectl apply --dry-run=server`.
 */

const FOLDER = new URL('../../deploy/k8s/', import.meta.url);
const SECONDS = 1_000;
const NAME = { 'app.kubernetes.io/name': 'sandbox-broker' };

interface Probe {
  httpGet: { path: string; port: string };
  periodSeconds: number;
  timeoutSeconds: number;
  failureThreshold: number;
}
interface Container {
  image: string;
  ports: { name: string; containerPort: number }[];
  envFrom: { configMapRef: { name: string } }[];
  env: {
    name: string;
    value?: string;
    valueFrom: { secretKeyRef: { name: string; key: string; optional?: boolean } };
  }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
  lifecycle: { preStop: { sleep: { seconds: number } } };
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: object;
}
interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels: Record<string, string> };
}
interface Deployment extends Manifest {
  spec: {
    replicas?: number;
    selector: { matchLabels: object };
    template: {
      metadata: { labels: object };
      spec: {
        serviceAccountName: string;
        terminationGracePeriodSeconds: number;
        securityContext: object;
        containers: Container[];
        affinity: object;
        topologySpreadConstraints: { labelSelector: { matchLabels: object } }[];
      };
    };
  };
}
interface Kustomization {
  kind: string;
  resources: string[];
  components: string[];
  configMapGenerator: { name: string; envs: string[] }[];
  images: { name: string; newTag: string }[];
}

function read<T>(file: string): T {
  const documents = parseAllDocuments(readFileSync(new URL(file, FOLDER), 'utf8'));
  const [document] = documents;
  if (documents.length !== 1 || !('contents' in document!)) throw new Error(`${file} is not one document`);
  expect([...document.errors, ...document.warnings]).toEqual([]);
  return document.toJS() as T;
}

const kustomization = read<Kustomization>('kustomization.yml');
/** What may be left out, or taken in: each in a folder of its own. */
const COMPONENTS = ['ingress', 'monitoring'];
const manifests = new Map(
  [
    ...kustomization.resources,
    ...COMPONENTS.flatMap((folder) =>
      read<Kustomization>(`${folder}/kustomization.yml`).resources.map((file) => `${folder}/${file}`),
    ),
  ].map((file) => [file, read<Manifest>(file)]),
);
const deployment = read<Deployment>('deployment.yml');
const pod = deployment.spec.template.spec;
const [container] = pod.containers as [Container];
const settings = parseEnv(readFileSync(new URL('broker.env', FOLDER), 'utf8'));
const { version } = JSON.parse(readFileSync(new URL('../../package.json', FOLDER), 'utf8')) as {
  version: string;
};

/** What the pod's process finds in its environment, with secrets of the kind production wants. */
const environment = {
  ...settings,
  ...Object.fromEntries(container.env.map(({ name }) => [name, `${name}-of-enough-characters`])),
  ALERT_WEBHOOK_URL: 'https://alerts.example.com/hook',
};
const config = loadConfig(environment);

describe('the kustomization', () => {
  test('lists every manifest there is', () => {
    const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.yml') && !file.endsWith('kustomization.yml'),
    );
    expect([...manifests.keys()].sort()).toEqual(files.sort());
    for (const folder of COMPONENTS) {
      expect(read<Kustomization>(`${folder}/kustomization.yml`).kind).toBe('Component');
    }
    expect(kustomization.components).toEqual(['monitoring']);
  });

  test('has one of each kind, in no namespace, under one name and label', () => {
    const kinds = [...manifests.values()].map(({ kind }) => kind);
    expect(new Set(kinds).size).toBe(kinds.length);
    for (const { metadata } of manifests.values()) {
      expect(metadata).toMatchObject({ name: 'sandbox-broker', labels: NAME });
      expect(metadata.namespace).toBeUndefined();
    }
  });

  test('runs the version this is', () => {
    expect(kustomization.images).toMatchObject([{ name: container.image, newTag: version }]);
  });

  test('holds no secret', () => {
    expect([...manifests.values()].map(({ kind }) => kind)).not.toContain('Secret');
    for (const { value, valueFrom } of container.env) {
      expect(value).toBeUndefined();
      expect(valueFrom.secretKeyRef.name).toBe('sandbox-broker');
    }
    expect(Object.keys(settings).filter((name) => /TOKEN|SECRET|WEBHOOK/.test(name))).toEqual([]);
  });
});

describe('every selector finds the pods', () => {
  test.each<[string, (manifest: never) => unknown]>([
    ['deployment.yml', (it: Deployment) => it.spec.selector.matchLabels],
    [
      'deployment.yml',
      (it: Deployment) => it.spec.template.spec.topologySpreadConstraints[0]?.labelSelector.matchLabels,
    ],
    ['service.yml', (it: { spec: { selector: object } }) => it.spec.selector],
    [
      'monitoring/service-monitor.yml',
      (it: { spec: { selector: { matchLabels: object } } }) => it.spec.selector.matchLabels,
    ],
    [
      'pod-disruption-budget.yml',
      (it: { spec: { selector: { matchLabels: object } } }) => it.spec.selector.matchLabels,
    ],
    [
      'network-policy.yml',
      (it: { spec: { podSelector: { matchLabels: object } } }) => it.spec.podSelector.matchLabels,
    ],
  ])('%s', (file, selectorOf) => {
    expect(selectorOf(read(file) as never)).toEqual(NAME);
    expect(deployment.spec.template.metadata.labels).toEqual(NAME);
  });

  test('and keeps them apart', () => {
    expect(pod.affinity).toHaveProperty(
      'podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm',
      { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: NAME } },
    );
  });
});

describe('the configuration', () => {
  test('is one that production starts with, and nothing in it is unknown', () => {
    expect(config).toMatchObject({
      environment: 'production',
      store: { kind: 'aws', region: 'eu-west-1' },
      provider: { kind: 'csp' },
      createTable: false,
    });
    expect(Object.keys(VARIABLES)).toEqual(expect.arrayContaining(Object.keys(environment)));
  });

  test('is refused without each secret that is not optional', () => {
    const needed = container.env.filter(({ valueFrom }) => valueFrom.secretKeyRef.optional !== true);
    expect(needed.map(({ name }) => name)).toEqual([
      'BROKER_API_TOKEN',
      'BROKER_ADMIN_TOKEN',
      'CSP_API_TOKEN',
    ]);
    for (const { name } of needed) expect(() => loadConfig({ ...environment, [name]: '' })).toThrow(name);
    const optional = container.env.filter((each) => !needed.includes(each)).map(({ name }) => name);
    expect(() =>
      loadConfig({ ...environment, ...Object.fromEntries(optional.map((name) => [name, ''])) }),
    ).not.toThrow();
  });

  test('comes from the ConfigMap that is made of it, and each key has the name of its variable', () => {
    const [{ name: made, envs } = { name: '', envs: [] }] = kustomization.configMapGenerator;
    expect(envs).toEqual(['broker.env']);
    expect(container.envFrom).toEqual([{ configMapRef: { name: made } }]);
    for (const { name, valueFrom } of container.env) expect(valueFrom.secretKeyRef.key).toBe(name);
  });
});

describe('the pod', () => {
  const probes = [container.startupProbe, container.livenessProbe, container.readinessProbe];

  test('listens on the port that the probes, the service, the policy and Prometheus name', () => {
    expect(container.ports).toEqual([{ name: 'http', containerPort: config.port }]);
    expect(config.host).toBe('0.0.0.0');
    expect(probes.map(({ httpGet }) => httpGet.port)).toEqual(['http', 'http', 'http']);
    const service = read<{ spec: { ports: { name: string; targetPort: string }[] } }>('service.yml');
    expect(service.spec.ports).toMatchObject([{ name: 'http', targetPort: 'http' }]);
    const monitor = read<{ spec: { jobLabel: keyof typeof NAME; endpoints: object[] } }>(
      'monitoring/service-monitor.yml',
    );
    expect(monitor.spec.endpoints).toMatchObject([{ port: 'http', path: '/metrics' }]);
    // The alerts know the broker by its job.
    const rules = readFileSync(new URL('../prometheus/rules.yml', FOLDER), 'utf8');
    expect(rules).toContain(`up{job="${NAME[monitor.spec.jobLabel]}"}`);
    const policy = read<{ spec: { ingress: { ports: object[] }[] } }>('network-policy.yml');
    expect(policy.spec.ingress[0]?.ports).toEqual([{ protocol: 'TCP', port: 'http' }]);
  });

  test('is asked for its health where the broker answers, and nobody waits longer than the period', async () => {
    expect(probes.map(({ httpGet }) => httpGet.path)).toEqual(['/healthz', '/healthz', '/readyz']);
    const { call } = await startApp();
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect((await call('GET', path)).status, path).toBe(200);
    }
    for (const { timeoutSeconds, periodSeconds } of probes) {
      expect(timeoutSeconds).toBeLessThanOrEqual(periodSeconds);
    }
    // What the store may take to answer, and what a start may take to find its table.
    expect(container.readinessProbe.timeoutSeconds).toBeGreaterThan(2);
    expect(container.startupProbe.periodSeconds * container.startupProbe.failureThreshold).toBeGreaterThan(
      60,
    );
  });

  test('is given more time to end than it takes', () => {
    const { seconds } = container.lifecycle.preStop.sleep;
    const graceMs = pod.terminationGracePeriodSeconds * SECONDS;
    expect(graceMs).toBeGreaterThan(seconds * SECONDS + config.shutdownTimeoutMs);
    expect(config.shutdownTimeoutMs).toBe(loadConfig({}).shutdownTimeoutMs);
  });

  test('asks for no more than it may have, and for what was measured', () => {
    const mebibytes = (text = '') => Number(/^(\d+)Mi$/.exec(text)?.[1]);
    const { requests, limits } = container.resources;
    expect(mebibytes(requests['memory'])).toBeGreaterThan(415);
    expect(mebibytes(limits['memory'])).toBeGreaterThanOrEqual(mebibytes(requests['memory']));
    // A limit on the processor would stretch every storm.
    expect(limits).not.toHaveProperty('cpu');
    expect(requests['cpu']).toMatch(/^\d+m$/);
  });

  test('may do nothing but its work', () => {
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(config.store.kind).not.toBe('embedded');
  });

  test('is who may call AWS, and cannot call Kubernetes', () => {
    const account = read<Manifest & { automountServiceAccountToken: boolean }>('service-account.yml');
    expect(pod.serviceAccountName).toBe(account.metadata.name);
    expect(account.automountServiceAccountToken).toBe(false);
    expect(account.metadata).toHaveProperty(['annotations', 'eks.amazonaws.com/role-arn']);
  });
});

describe('how many there are', () => {
  test('is decided in one place, and a node may be drained at any time', () => {
    const scaler = read<{
      spec: { scaleTargetRef: object; minReplicas: number; maxReplicas: number };
    }>('horizontal-pod-autoscaler.yml');
    const { apiVersion, kind, metadata } = deployment;
    expect(scaler.spec.scaleTargetRef).toEqual({ apiVersion, kind, name: metadata.name });
    expect(deployment.spec.replicas).toBeUndefined();
    expect(scaler.spec.minReplicas).toBeGreaterThan(1);
    expect(scaler.spec.maxReplicas).toBeGreaterThan(scaler.spec.minReplicas);
    const budget = read<{ spec: { maxUnavailable: number } }>('pod-disruption-budget.yml');
    expect(budget.spec.maxUnavailable).toBeLessThan(scaler.spec.minReplicas);
  });
});
