import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { readDocument } from './documents.ts';

const ROOT = new URL('../../', import.meta.url);
const EXAMPLES = readdirSync(new URL('examples/safety/', ROOT)).sort();

test('every example of the safety systems does what it says', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=sandbox-broker:source', 'examples/run.ts'],
    { cwd: fileURLToPath(ROOT) },
  );
  expect(stdout.trim().split('\n')).toEqual(EXAMPLES.map((name) => `${name}: as it says`));
});

test('docs/safety.md shows every example as it is', () => {
  const shown = [
    ...readDocument('docs/safety.md').matchAll(/\(\.\.\/examples\/safety\/(\S+)\)\n\n```ts\n(.*?)```$/gms),
  ];
  expect(shown.map(([, name]) => name).sort()).toEqual(EXAMPLES);
  for (const [, name = '', code] of shown) {
    expect(code, name).toBe(readFileSync(new URL(`examples/safety/${name}`, ROOT), 'utf8'));
  }
});
