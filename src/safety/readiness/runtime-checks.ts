import type { RuntimeCheck } from '../../domain/runtime-check.ts';

/** What one check found. */
export type RuntimeFinding = Omit<RuntimeCheck, 'name'>;

/** Checks of what an application rests on, by name. */
export interface RuntimeChecks<Name extends string = string> {
  readonly names: readonly Name[];
  /** Carries all out at once, each within its time. Never throws. */
  runAll(signal?: AbortSignal): Promise<RuntimeCheck[]>;
}

export interface RuntimeChecksOptions<Name extends string> {
  checks: Readonly<Record<Name, (signal: AbortSignal) => RuntimeFinding | Promise<RuntimeFinding>>>;
  /** What a check that throws comes to; a warning with the error's name unless told otherwise. */
  onError?: (error: unknown) => RuntimeFinding;
}

const UNINTERRUPTED = new AbortController().signal;

/** Runtime checks; what cannot be told is a finding, too. */
export function createRuntimeChecks<Name extends string>(
  options: RuntimeChecksOptions<Name>,
): RuntimeChecks<Name> {
  const { checks, onError = untold } = options;
  const names = Object.keys(checks) as Name[];
  return {
    names,
    runAll: async (signal = UNINTERRUPTED) =>
      await Promise.all(
        names.map(async (name) => {
          try {
            return { name, ...(await checks[name](signal)) };
          } catch (error) {
            return { name, ...onError(error) };
          }
        }),
      ),
  };
}

const untold = (error: unknown): RuntimeFinding => ({
  status: 'warning',
  message: 'The check failed, so that nothing is known.',
  details: { error: error instanceof Error ? error.name : 'unknown' },
});
