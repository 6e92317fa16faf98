import { TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { IS_UNCHANGED } from '../../src/store/sandboxes/conditions.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { type Bench, createBench } from './model-bench.ts';
import { linePrograms } from './programs/line-programs.ts';
import { programs } from './programs/programs.ts';
import { runProgram } from './run-program.ts';
import { search, tellFailure } from './search.ts';

/** `SEED` (and `PROGRAM_PATH`, for one program) replays what a failure has printed; `TRACE=1` tells all that happens. */
const { SEED = '1', PROGRAM_PATH: path, TRACE } = process.env;
/** `npm run soak` runs as many as one likes. */
const PROGRAMS = path === undefined ? 60 : 1;
const isWhole = SEED === '1' && path === undefined;
const SEEN = [
  'allocate leased',
  'allocate none_free',
  'allocate unknown',
  'allocate_several leased_several',
  'allocate_several none_free',
  'extend kept',
  'extend LEASE_OVER',
  'heartbeat kept',
  'heartbeat LEASE_OVER',
  'mark_all marked',
  'mark done',
  'release done',
  'quarantine done',
  'report reported',
  'restore done',
  'expire done',
  'free_cooled done',
  'sync done',
  'cleanup done',
  'cleanup unknown',
  'cleanup ALREADY_RUNNING',
  'purge done',
  'bulk_delete done',
];
const LINE_PROGRAMS = path === undefined ? 60 : 1;
const PROGRAMS_RUN_TWICE = 5;
/** Many times what they take on a machine that has nothing else to do. */
const LIMIT_MS = 300_000;

function benchOfTest(endpoint: string): Bench {
  const bench = createBench(endpoint, TRACE === undefined ? undefined : (line) => console.log(line));
  onTestFinished(() => bench.close());
  return bench;
}

describeOnFastEngine('random programs over one to four replicas', ({ endpoint }) => {
  test(
    'no schedule and no fault makes them break a promise',
    async () => {
      const found = await search(benchOfTest(endpoint), {
        seed: Number(SEED),
        path,
        programs: PROGRAMS,
        shrinkMs: 60_000,
      });
      expect(found.failure && tellFailure(found.failure)).toBeUndefined();
      expect(found.ran).toBe(PROGRAMS);
      // They are few: together they have to have seen all of this.
      if (isWhole) expect([...found.outcomes.keys()]).toEqual(expect.arrayContaining(SEEN));
    },
    LIMIT_MS,
  );

  test(
    'nor do programs of a line of callers',
    async () => {
      const options = {
        seed: Number(SEED),
        path,
        programs: LINE_PROGRAMS,
        of: linePrograms,
        shrinkMs: 60_000,
      };
      const found = await search(benchOfTest(endpoint), options);
      expect(found.failure && tellFailure(found.failure)).toBeUndefined();
      const seen = ['wait in_line', 'wait leased', 'allocate leased', 'leave done'];
      if (isWhole) expect([...found.outcomes.keys()]).toEqual(expect.arrayContaining(seen));
    },
    LIMIT_MS,
  );

  test('the same program is the same run, call by call', async () => {
    const bench = benchOfTest(endpoint);
    for (const program of fc.sample(programs, { seed: Number(SEED), numRuns: PROGRAMS_RUN_TWICE })) {
      const first = await runProgram(bench, program);
      const again = await runProgram(bench, program);
      expect(again).toEqual(first);
    }
  });

  test('a store that lets the slower of two writers have its way is found out', async () => {
    const bench = benchOfTest(endpoint);
    const forgetful: Bench = {
      ...bench,
      send(command) {
        if (command instanceof TransactWriteItemsCommand) forgetGenerations(command);
        return bench.send(command);
      },
    };
    const { failure } = await search(forgetful, { seed: 1, programs: 200, shrinkMs: 0 });
    expect(failure?.findings.join()).toMatch(/stale_write|two_holders|broken_history|lost_/);
  });
});

/** Takes the condition off that a record is as it was read. */
function forgetGenerations({ input }: TransactWriteItemsCommand): void {
  input.TransactItems = input.TransactItems?.map((item) => {
    if (item.Put?.ConditionExpression !== IS_UNCHANGED) return item;
    const { TableName, Item } = item.Put;
    return { Put: { TableName, Item } };
  });
}
