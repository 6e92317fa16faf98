import { BoundedMap } from '../../domain/bounded-map.ts';

/** One attempt at a task, as the log keeps it. */
export interface LoggedAttempt {
  /** Epoch milliseconds. */
  atMs: number;
  attempt: number;
  /** `success`, or the error's word: a kind, a code, a name; never its text. */
  outcome: string;
  /** The wait before the next attempt, milliseconds; absent after the last of a run. */
  waitMs?: number | undefined;
}

/** The last attempts at the tasks that were tried last, in bounded memory. */
export interface RetryLog {
  add(task: string, attempt: LoggedAttempt): void;
  /** The tasks whose names begin so, the one tried last first. */
  tasks(prefix?: string): { task: string; attempts: LoggedAttempt[] }[];
}

const MAX_TASKS = 200;
const MAX_ATTEMPTS_OF_TASK = 50;

export function createRetryLog(limits: { tasks?: number; attempts?: number } = {}): RetryLog {
  const { tasks: maxTasks = MAX_TASKS, attempts: maxAttempts = MAX_ATTEMPTS_OF_TASK } = limits;
  const log = new BoundedMap<string, LoggedAttempt[]>(maxTasks);
  return {
    add(task, attempt) {
      log.set(task, [...(log.get(task) ?? []), attempt].slice(-maxAttempts));
    },
    tasks: (prefix = '') =>
      [...log]
        .filter(([task]) => task.startsWith(prefix))
        .map(([task, attempts]) => ({ task, attempts: [...attempts] }))
        .reverse(),
  };
}

/** An error's stable word: its kind, its code, or its name. */
export function errorWord(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const kind: unknown = Reflect.get(error, 'kind');
  const code: unknown = Reflect.get(error, 'code');
  if (typeof kind === 'string') return kind;
  return typeof code === 'string' ? code : error.name;
}
