import fc from 'fast-check';
import type { Bench } from './model-bench.ts';
import type { Program } from './program.ts';
import { programs } from './programs/programs.ts';
import { runProgram } from './run-program.ts';

/** What a search came to. */
export interface SearchResult {
  /** Programs that were run, those that made a failing one smaller not counted. */
  ran: number;
  storeCalls: number;
  /** How many calls ended in which way. */
  outcomes: ReadonlyMap<string, number>;
  failure?: {
    seed: number;
    path: string;
    /** The smallest program that was found to fail. */
    program: Program;
    findings: string[];
  };
}

export interface SearchOptions {
  seed: number;
  programs: number;
  /** Which programs; absent: of everything. */
  of?: fc.Arbitrary<Program> | undefined;
  /** Replays the one program that a search has reported. */
  path?: string | undefined;
  /** No program is begun after this time, milliseconds. */
  withinMs?: number | undefined;
  /** How long a failing program may be made smaller, milliseconds. */
  shrinkMs: number;
}

/** Runs random programs until one breaks a promise; that one is made as small as possible. */
export async function search(bench: Bench, options: SearchOptions): Promise<SearchResult> {
  const { seed, path, withinMs, shrinkMs } = options;
  const outcomes = new Map<string, number>();
  let storeCalls = 0;
  let stopsAtMs = Number.POSITIVE_INFINITY;
  const property = fc.asyncProperty(options.of ?? programs, async (program) => {
    // What is no failure ends the shrinking, and what was found so far is the smallest.
    if (performance.now() > stopsAtMs) return;
    const result = await runProgram(bench, program);
    storeCalls += result.storeCalls;
    for (const [outcome, times] of result.outcomes) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times);
    }
    if (result.findings.length === 0) return;
    if (stopsAtMs === Number.POSITIVE_INFINITY) stopsAtMs = performance.now() + shrinkMs;
    throw new Error(result.findings.join('\n'));
  });
  const checked = await fc.check(property, {
    seed,
    ...(path !== undefined && { path }),
    numRuns: options.programs,
    unbiased: true,
    ...(withinMs !== undefined && { skipAllAfterTimeLimit: withinMs }),
    maxSkipsPerRun: 0,
  });
  const ran = checked.numRuns;
  if (!checked.failed || checked.counterexample === null) return { ran, storeCalls, outcomes };
  const [program] = checked.counterexample;
  const error: unknown = checked.errorInstance;
  const findings = error instanceof Error ? error.message.split('\n') : [String(error)];
  return {
    ran,
    storeCalls,
    outcomes,
    failure: { seed: checked.seed, path: checked.counterexamplePath ?? '', program, findings },
  };
}

/** A failure, and how to see it again. */
export const tellFailure = ({
  seed,
  path,
  program,
  findings,
}: NonNullable<SearchResult['failure']>): string =>
  [
    ...findings,
    `smallest program: ${JSON.stringify(program)}`,
    `replay: SEED=${seed} PROGRAM_PATH=${path} npx vitest run test/model/model.test.ts`,
  ].join('\n');
