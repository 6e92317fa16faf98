import { execFile } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The walls between the folders are lint rules; these plants show that the rules see what they are for. */
const REFUSED: [file: string, source: string, rule?: string][] = [
  ['src/domain/plant-1.ts', "import { createHash } from 'node:crypto';"],
  ['src/domain/plant-2.ts', "import type { Clock } from '../clock.ts';"],
  ['src/domain/plant-3.ts', "import { z } from 'zod';"],
  ['src/domain/plant-4.ts', 'export const now = Date.now();', 'noRestrictedGlobals'],
  ['src/domain/resilience/plant-5.ts', "import type { Clock } from '../../clock.ts';"],
  ['src/domain/resilience/plant-6.ts', 'export const now = Date.now();', 'noRestrictedGlobals'],
  ['src/usecases/plant-1.ts', "import { GetCommand } from '@aws-sdk/lib-dynamodb';"],
  ['src/usecases/plant-2.ts', "import type { FastifyRequest } from 'fastify';"],
  ['src/usecases/plant-3.ts', "import { createSandboxStore } from '../store/sandboxes/sandboxes.ts';"],
  ['src/usecases/plant-4.ts', "import type { Route } from '../http/routes/tracks.ts';"],
  ['src/usecases/plant-5.ts', "import { loadConfig } from '../config/index.ts';"],
  ['src/usecases/plant-6.ts', 'export const now = Date.now();', 'noRestrictedGlobals'],
  ['src/usecases/line/plant-8.ts', "import { bucketOf } from '../../store/sandboxes/keys.ts';"],
  ['src/usecases/plant-9.ts', "import { COUNTS_KEY } from '../store/sandboxes/keys.ts';"],
  ['src/usecases/plant-10.ts', "import { ConditionFailedError } from '../store/dynamo/errors.ts';"],
  ['src/http/plant-1.ts', "import type { SandboxStore } from '../store/sandboxes/sandboxes.ts';"],
  ['src/http/plugins/plant-2.ts', "import type { Provider } from '../../provider/provider.ts';"],
  ['src/http/plant-3.ts', "import { Counter } from 'prom-client';"],
  ['src/http/plant-4.ts', "import pino from 'pino';"],
  ['src/app.ts', "import { DynamoDBClient } from '@aws-sdk/client-dynamodb';"],
  ['src/api/plant-1.ts', "import type { StoreClient } from '../store/dynamo/client.ts';"],
  ['src/api/plant-2.ts', "import type { FastifyRequest } from 'fastify';"],
  ['src/api/types/plant-3.ts', "import type { Sandbox } from '../../domain/sandbox.ts';"],
  ['src/live/plant-1.ts', "import type { LiveRoutesDeps } from '../http/routes/admin/live.ts';"],
  ['src/live/plant-2.ts', "import { createTicker } from '../loops/ticker.ts';"],
  ['src/loops/plant-1.ts', "import { request } from 'undici';"],
  ['src/loops/plant-2.ts', "import type { App } from '../app.ts';"],
  ['src/loops/plant-3.ts', "import { createTurns } from '../store/shared/turns.ts';"],
  ['src/store/plant-1.ts', "import type { AllocateInput } from '../usecases/allocate-sandbox.ts';"],
  ['src/store/plant-2.ts', "import { request } from 'undici';"],
  ['src/provider/plant-1.ts', "import { GetCommand } from '@aws-sdk/lib-dynamodb';"],
  ['src/provider/plant-2.ts', "import { createMetrics } from '../telemetry/metrics.ts';"],
  ['src/safety/plant-1.ts', "import { request } from 'undici';"],
  ['src/safety/plant-2.ts', "import type { Run } from '../loops/run.ts';"],
  ['src/safety/plant-3.ts', "import type { StoreClient } from '../store/dynamo/client.ts';"],
  ['src/safety/quota/plant-4.ts', "import type { Provider } from '../../provider/provider.ts';"],
  ['src/safety/quota/plant-5.ts', "import { createLogger } from '../../telemetry/logger.ts';"],
  ['src/compose/plant-1.ts', "import { createGovernor } from '../safety/quota/governor.ts';"],
  ['src/usecases/plant-7.ts', "import type { Guard } from '../safety/guard/guard.ts';"],
  ['src/telemetry/plant-1.ts', "import type { SandboxStore } from '../store/sandboxes/sandboxes.ts';"],
  ['src/telemetry/plant-2.ts', "import type { MetricsGuard } from '../safety/index.ts';"],
  ['src/telemetry/plant-3.ts', "import type { Provider } from '../provider/provider.ts';"],
  ['src/config/plant.ts', "import { createLogger } from '../telemetry/logger.ts';"],
  ['src/compose/index.ts', "import { Agent } from 'undici';"],
  ['src/plant-1.ts', 'export const home = process.env.HOME;', 'noProcessEnv'],
  [
    'src/store/plant-3.ts',
    "import { env } from 'node:process'; export const home = env.HOME;",
    'noProcessEnv',
  ],
  ['src/console/page/plant-1.ts', "import { z } from 'zod';"],
  ['src/console/page/plant-2.ts', "import type { Sandbox } from '../../domain/sandbox.ts';"],
  ['src/console/page/panels/plant-4.ts', "import type { Sandbox } from '../../../domain/sandbox.ts';"],
  ['src/console/page/plant-5.ts', "import type { jobSchema } from '../../api/jobs.ts';"],
  ['src/console/page/panels/plant-6.ts', "import type { jobSchema } from '../../../api/jobs.ts';"],
  ['src/console/page/plant-3.ts', "import { join } from 'node:path';"],
  ['src/console/plant-1.ts', "import { createSandboxStore } from '../store/sandboxes/sandboxes.ts';"],
  ['src/client/plant-1.ts', "import { readFileSync } from 'node:fs';"],
  ['src/client/plant-2.ts', "import { z } from 'zod';"],
  ['src/client/plant-3.ts', "import { BrokerError } from '../domain/errors.ts';"],
  ['src/client/plant-5.ts', "import type { leaseSchema } from '../api/leases.ts';"],
  ['src/client/plant-4.ts', 'export const home = process.cwd();', 'noRestrictedGlobals'],
  ['src/cli/plant-1.ts', "import { openTable } from '../store/table.ts';"],
  ['src/cli/plant-2.ts', "import { z } from 'zod';"],
  ['src/cli/plant-3.ts', 'export const home = process.env.HOME;', 'noProcessEnv'],
  ['test/support/plant.ts', "import { afterEach } from 'vitest'; afterEach(() => undefined);"],
  ['src/loops/plant-4.ts', "export const page = fetch('http://localhost');", 'noRestrictedGlobals'],
];

const ALLOWED: [file: string, source: string][] = [
  ['src/domain/fine.ts', "import { assertNever } from './errors.ts'; export const x = assertNever;"],
  [
    'src/domain/resilience/fine.ts',
    "import { assertNever } from '../errors.ts'; import type { Quota } from './quota.ts'; export type X = Quota; export const x = assertNever;",
  ],
  [
    'src/usecases/fine.ts',
    "import type { SandboxStore } from '../store/sandboxes/sandboxes.ts'; export type X = SandboxStore;",
  ],
  ['src/store/fine.ts', "import { GetCommand } from '@aws-sdk/lib-dynamodb'; export const x = GetCommand;"],
  ['src/provider/fine.ts', "import { Pool } from 'undici'; export const x = Pool;"],
  ['src/safety/alerts/webhook-sender.ts', "import { Pool } from 'undici'; export const x = Pool;"],
  [
    'src/safety/quota/fine.ts',
    "import type { Quota } from '../../domain/resilience/quota.ts'; import { MASK } from '../../telemetry/loggable.ts'; import { classify } from '../retry/retryable.ts'; export type X = [Quota, typeof MASK, typeof classify];",
  ],
  [
    'src/compose/fine-safety.ts',
    "import { createGovernor } from '../safety/index.ts'; export const x = createGovernor;",
  ],
  [
    'src/provider/fine-safety.ts',
    "import { classify } from '../safety/index.ts'; export const x = classify;",
  ],
  ['src/telemetry/fine.ts', "import { Counter } from 'prom-client'; export const x = Counter;"],
  ['src/http/fine.ts', "import type { Metrics } from '../telemetry/metrics.ts'; export type X = Metrics;"],
  [
    'src/compose/fine.ts',
    "import { createMetrics } from '../telemetry/metrics.ts'; export const x = createMetrics;",
  ],
  ['src/main.ts', 'export const x = process.env;'],
  ['test/support/fine.ts', "import { onTestFinished } from 'vitest'; export const x = onTestFinished;"],
  [
    'src/client/fine.ts',
    "import type { ErrorCode } from '../domain/errors.ts'; export type X = ErrorCode; export const x = fetch;",
  ],
  ['src/cli/environment.ts', 'export const x = process.env;'],
  ['src/cli/fine.ts', "import { Command } from 'commander'; export const x = Command;"],
  [
    'src/console/page/panels/fine.ts',
    "import { statusOf } from '../broker/records.ts'; export const x = statusOf;",
  ],
  [
    'src/console/page/fine-types.ts',
    "import type { Job } from '../../api/types/jobs.ts'; export type X = Job;",
  ],
  [
    'src/console/page/panels/fine-types.ts',
    "import type { Job } from '../../../api/types/jobs.ts'; export type X = Job;",
  ],
  ['src/client/fine-types.ts', "import type { Lease } from '../api/types/leases.ts'; export type X = Lease;"],
  ['src/console/page/fine.ts', "import { h } from 'preact'; export const x = [h, fetch('/console')];"],
  [
    'test/fine.test.ts',
    "import { createSandboxStore } from '../src/store/sandboxes/sandboxes.ts'; export const x = createSandboxStore;",
  ],
];

const WALL_RULES = ['noRestrictedImports', 'noRestrictedGlobals', 'noProcessEnv'].map(
  (rule) => `lint/style/${rule}`,
);

interface Finding {
  category: string;
  location?: { path?: string };
}

const project = fileURLToPath(new URL('..', import.meta.url));
let ground = '';
/** The rules that spoke up, by file. */
const findings = new Map<string, string[]>();

beforeAll(async () => {
  ground = mkdtempSync(join(tmpdir(), 'walls-'));
  // The configuration reads the ignore file, and package.json marks the root of a project.
  for (const file of ['biome.json', 'package.json', 'tsconfig.json', '.gitignore']) {
    copyFileSync(join(project, file), join(ground, file));
  }
  for (const [file, source] of [...REFUSED, ...ALLOWED]) {
    mkdirSync(dirname(join(ground, file)), { recursive: true });
    writeFileSync(join(ground, file), `${source}\n`);
  }
  const run = promisify(execFile)(
    join(project, 'node_modules/.bin/biome'),
    ['lint', '--reporter=json', '--max-diagnostics=none', 'src', 'test'],
    { cwd: ground },
  );
  const { stdout } = await run.catch((error) => error as { stdout: string });
  for (const { category, location } of (JSON.parse(stdout) as { diagnostics: Finding[] }).diagnostics) {
    if (!WALL_RULES.includes(category)) continue;
    const file = location?.path ?? '';
    findings.set(file, [...(findings.get(file) ?? []), category]);
  }
});

afterAll(() => rmSync(ground, { recursive: true, force: true }));

describe('the walls refuse', () => {
  test.each(REFUSED)('%s: %s', (file, _source, rule = 'noRestrictedImports') => {
    expect(findings.get(file)).toContain(`lint/style/${rule}`);
  });
});

describe('the walls let through', () => {
  test.each(ALLOWED)('%s: %s', (file) => {
    expect(findings.get(file)).toBeUndefined();
  });
});

describe('what one sees at once', () => {
  const MOST_FILES = 20;
  const MOST_FILES_AT_THE_ROOT = 6;
  const MOST_LINES = 300;
  const source = join(project, 'src');
  const filesIn = (folder: string) =>
    readdirSync(join(project, folder), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
  const files = filesIn('src');

  test('no folder has more files than one can look over', () => {
    const folders = Map.groupBy([...files, ...filesIn('test')], ({ parentPath }) => parentPath);
    const large = [...folders].filter(
      ([folder, { length }]) => length > (folder === source ? MOST_FILES_AT_THE_ROOT : MOST_FILES),
    );
    expect(large.map(([folder, { length }]) => `${folder}: ${length} files`)).toEqual([]);
  });

  test('no file has more lines than one can read in one go', () => {
    const long = files.flatMap(({ parentPath, name }) => {
      const lines = readFileSync(join(parentPath, name), 'utf8').split('\n').length - 1;
      return lines > MOST_LINES ? [`${join(parentPath, name)}: ${lines} lines`] : [];
    });
    expect(long).toEqual([]);
  });
});
