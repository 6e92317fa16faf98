import { expect, test } from 'vitest';
import { describeOnFastEngine } from '../support/engines.ts';
import { createBench } from './model-bench.ts';
import { search, tellFailure } from './search.ts';

/** `SEED` (and `PROGRAM_PATH`, for one program) replays what a failure has printed. */
const { SEED = '1', PROGRAM_PATH } = process.env;
const PROGRAMS = 200;
const LIMIT_MS = 240_000;

describeOnFastEngine('random programs over one to four replicas', ({ endpoint }) => {
  test(
    'no schedule and no fault makes them break a promise',
    async () => {
      const bench = createBench(endpoint);
      const { failure, ran } = await search(bench, {
        seed: Number(SEED),
        path: PROGRAM_PATH,
        programs: PROGRAMS,
        shrinkMs: 30_000,
      });
      bench.close();
      expect(failure && tellFailure(failure)).toBeUndefined();
      expect(ran).toBe(PROGRAM_PATH === undefined ? PROGRAMS : 1);
    },
    LIMIT_MS,
  );
});
