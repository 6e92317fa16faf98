import { execFile } from 'node:child_process';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
export const TSC = join(PROJECT, 'node_modules/.bin/tsc');
/** The compiler before the project's own, which most still use. */
export const OLDER_TSC = createRequire(
  createRequire(import.meta.url).resolve('dts-bundle-generator'),
).resolve('typescript/lib/tsc.js');
export const NAME = 'sandbox-broker-client';

export interface Packed {
  /** Bytes of the archive. */
  size: number;
  files: string[];
  /** The package, unpacked. */
  folder: string;
}

/**
 * Packs the client as for a registry, and makes the empty folder a project of somebody else with the package in its
 * `node_modules`, and nothing else.
 */
export async function packClient(project: string): Promise<Packed> {
  // npm finds the Node that the project brings along.
  const tools = `${join(PROJECT, 'node_modules/.bin')}:${dirname(process.execPath)}`;
  const { stdout } = await run(
    'npm',
    ['pack', './packages/client', '--offline', '--silent', '--json', `--pack-destination=${project}`],
    { cwd: PROJECT, env: { ...process.env, PATH: `${tools}:${process.env['PATH']}` } },
  );
  const [{ filename, size, files }] = JSON.parse(stdout) as [
    { filename: string; size: number; files: { path: string }[] },
  ];
  await run('tar', ['-xzf', filename], { cwd: project });
  await mkdir(join(project, 'node_modules'));
  const folder = join(project, 'node_modules', NAME);
  await rename(join(project, 'package'), folder);
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module' }));
  return { size, files: files.map(({ path }) => path).sort(), folder };
}
