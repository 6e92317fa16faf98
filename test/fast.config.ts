import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineConfig, mergeConfig } from 'vitest/config';
import all from '../vitest.config.ts';

/*
 * `npm run test:fast`: what can be known in a minute, on one engine. What starts a browser, or processes besides the
 * engine that all tests share, is left out, and what takes long by itself.
 */

const STARTS_PROCESSES = /'(node:child_process|playwright-core|\S*\/store\/engine\/(engine|process)\.ts)'/;
const TAKES_LONG = [
  'test/model/model.test.ts',
  'test/http/routes/admin/governor.test.ts',
  'test/store/throttled.test.ts',
  'test/store/dynamo/client-failed-calls.test.ts',
  'test/store/sandboxes/ready-list-cost.test.ts',
  'test/usecases/deletion/cleanup-outage.test.ts',
  'test/usecases/inventory/list.test.ts',
  'test/usecases/inventory/sync.test.ts',
];
const IMPORTED = /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)';$/gms;

/** Whether a file, or what it imports of the tests' own, starts processes. */
function startsProcesses(file: string, seen = new Set<string>()): boolean {
  if (seen.has(file) || !file.startsWith('test/')) return false;
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  if (STARTS_PROCESSES.test(text)) return true;
  const imported = [...text.matchAll(IMPORTED)].map(([, path = '']) => join(dirname(file), path));
  return imported.some((each) => startsProcesses(each, seen));
}

process.env['TEST_ENGINE'] = 'dynoxide';

export default mergeConfig(
  all,
  defineConfig({
    test: {
      exclude: [...TAKES_LONG, ...globSync('test/**/*.test.ts').filter((file) => startsProcesses(file))],
    },
  }),
);
