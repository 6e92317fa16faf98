import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type Reporter, type TestSpecification } from 'vitest/node';

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

/** Short files that take long: begun last, each would go on alone when all else is done. */
const SLOW = /\/test\/(races|model|chaos|e2e)\/|\/(page|page-answers|fuzz|engine)\.test\.ts$/;

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((one, other) => Number(SLOW.test(other.moduleId)) - Number(SLOW.test(one.moduleId)));
  }
}

// Hundreds of processes load the same modules, the tests' own and the brokers': each is compiled once. It goes on to all
// of them by the environment.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    sequence: { sequencer: SlowFirst },
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
