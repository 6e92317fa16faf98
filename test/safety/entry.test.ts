import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/temp-folder.ts';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const TSC = join(PROJECT, 'node_modules/.bin/tsc');
/** All that the entry needs of others: where neither Fastify nor the AWS SDK is, none of them is loaded. */
const NEEDED = ['pino', 'pino-pretty', 'undici'];

/** A project of somebody else with the built package in its `node_modules`. */
async function consumerProject(): Promise<string> {
  const folder = await temporaryFolder();
  const home = join(folder, 'node_modules/sandbox-broker');
  await mkdir(home, { recursive: true });
  await run(TSC, ['-p', 'src/safety', '--outDir', join(home, 'dist')], { cwd: PROJECT });
  await copyFile(join(PROJECT, 'package.json'), join(home, 'package.json'));
  for (const name of NEEDED) {
    await symlink(join(PROJECT, 'node_modules', name), join(folder, 'node_modules', name));
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  return folder;
}

const TYPED = `
import { createDryRunLock, createGovernor, createGuard, createSideEffects } from 'sandbox-broker/safety';
const dryRun = createDryRunLock({ actions: { pay: 'irreversible', look: 'reversible' } });
const governor = createGovernor({ quotas: { payments: { maxActions: 1, windowSeconds: 60 } } });
const effects = createSideEffects({ types: ['pay'] });
const guard = createGuard({ dryRun, governor, resourceOf: { pay: 'payments' } });
const call = async () => 5;
const what = { entity: 'a', generation: 1, task: 'a' };
export const fine = [dryRun.blocks('pay'), governor.check('payments'), guard.run({ action: 'look', ...what }, call)];
// @ts-expect-error Nobody has classified it.
dryRun.blocks('steal');
// @ts-expect-error There is no such quota.
governor.check('payment');
// @ts-expect-error There is no such quota.
governor.setLimit('payment', 5);
// @ts-expect-error There is no such effect.
effects.once({ type: 'look', entity: 'a', generation: 1 }, call);
// @ts-expect-error Nobody has classified it.
guard.run({ action: 'steal', ...what }, call);
// @ts-expect-error There is no such quota.
guard.run({ action: 'pay', resource: 'payment', ...what }, call);
`;

test('the safety systems work and are typed where nothing of the broker and no AWS SDK is installed', async () => {
  const folder = await consumerProject();
  const example = await readFile(join(PROJECT, 'examples/safety/payment.ts'), 'utf8');
  await writeFile(join(folder, 'payment.ts'), example);
  await run(process.execPath, ['payment.ts'], { cwd: folder });
  await writeFile(join(folder, 'typed.ts'), TYPED);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'es2025',
    lib: ['es2025', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    typeRoots: [join(PROJECT, 'node_modules/@types')],
    skipLibCheck: true,
  };
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['typed.ts', 'payment.ts'] }),
  );
  const { stdout } = await run(TSC, ['-p', '.'], { cwd: folder }).catch((error: { stdout: string }) => error);
  expect(stdout).toBe('');
});
