import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
import { vi } from 'vitest';

/** What is longer is a limit, and no pause: of a call, of a connection, of whoever waits. */
const LONGEST_MS = 450;

/**
 * Carries out `work`, and tells which pauses were made meanwhile by anybody in this process, milliseconds, in their order:
 * as they were asked for, and not as long as they took.
 */
export async function pausesOf<T>(work: () => Promise<T>): Promise<{ result: T; pausesMs: number[] }> {
  const pausesMs: number[] = [];
  const note = (ms: number | undefined) => {
    if (ms !== undefined && ms > 0 && ms < LONGEST_MS) pausesMs.push(ms);
  };
  const { setTimeout: inPromises } = timers;
  const { setTimeout: plain } = globalThis;
  const spies = [
    vi.spyOn(timers, 'setTimeout').mockImplementation((ms, ...rest) => {
      note(ms);
      return inPromises(ms, ...rest);
    }),
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(
      Object.assign((...args: Parameters<typeof plain>) => {
        note(args[1]);
        return plain(...args);
      }, plain),
    ),
  ];
  syncBuiltinESMExports();
  try {
    return { result: await work(), pausesMs };
  } finally {
    for (const spy of spies) spy.mockRestore();
    syncBuiltinESMExports();
  }
}
