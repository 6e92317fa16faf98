import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import type { Reporter } from 'vitest/node';

/** What did not run is said at the end, test by test: the default reporter only counts it. */
function skippedByName(): Reporter {
  let chosenByName = false;
  return {
    onInit(vitest) {
      chosenByName = vitest.config.testNamePattern !== undefined;
    },
    onTestRunEnd(modules) {
      if (chosenByName) return;
      for (const module of modules) {
        for (const test of module.children.allTests('skipped')) {
          console.log(`skipped: ${module.relativeModuleId} > ${test.fullName}`);
        }
      }
    },
  };
}

// Hundreds of processes load the same modules, the tests' own and the brokers': each is compiled once. It goes on to all
// of them by the environment.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // The files of a process share its loaded modules: a fifth less to do. Each file cleans up after itself.
    isolate: false,
    // Many tests wait for processes, and for what these do at their own pace.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    passWithNoTests: false,
    reporters: ['default', skippedByName()],
  },
});
