import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import { performance } from 'node:perf_hooks';
import timersPromises from 'node:timers/promises';

/*
 * Time and chance for code that runs `inside` a process of the model: its timers, `performance.now()` and
 * `Math.random()` are the model's, and what it does takes no time. All other code of this Node process, test runner and sockets included, keeps the
 * real ones, also while a program of the model is under way.
 */

/** A process of the model, as far as time goes. */
export interface VirtualProcess {
  /** Milliseconds; wall clock and monotonic clock alike, without the process's skew. */
  nowMs(): number;
  /** From [0, 1). */
  random(): number;
  /** Calls `fire` within the process after `ms`, unless `cancel` was called. */
  startTimer(ms: number, fire: () => void): { cancel(): void };
}

const current = new AsyncLocalStorage<VirtualProcess | undefined>();

/** Runs `work`, and all that it starts, as that process. */
export const inside = <T>(process: VirtualProcess, work: () => T): T => current.run(process, work);

/** Runs `work` in real time, wherever it is called. */
export const outside = <T>(work: () => T): T => current.run(undefined, work);

/** What `setTimeout` gives to a process of the model. */
class VirtualTimer {
  readonly #cancel: () => void;
  constructor(cancel: () => void) {
    this.#cancel = cancel;
  }
  cancel(): void {
    this.#cancel();
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

type Callback = (...args: unknown[]) => void;

function startInterval(process: VirtualProcess, ms: number, callback: () => void): VirtualTimer {
  let timer: { cancel(): void };
  const again = () => {
    timer = process.startTimer(ms, () => {
      again();
      callback();
    });
  };
  again();
  return new VirtualTimer(() => timer.cancel());
}

function abortError(signal: AbortSignal): Error {
  return Object.assign(new Error('The operation was aborted'), {
    name: 'AbortError',
    code: 'ABORT_ERR',
    cause: signal.reason,
  });
}

function rest<T>(process: VirtualProcess, ms: number, value: T, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortError(signal));
      return;
    }
    const timer = process.startTimer(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve(value);
    });
    const onAbort = () => {
      timer.cancel();
      if (signal) reject(abortError(signal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Puts the model's time beside the real one, once for the whole Node process. */
function install(): void {
  const { setTimeout: realTimeout, clearTimeout: realClear, setInterval: realInterval } = globalThis;
  const realRest = timersPromises.setTimeout;
  const realNow = performance.now.bind(performance);
  const realRandom = Math.random;
  const realUtilization = performance.eventLoopUtilization.bind(performance);

  const clear = (timer: unknown) => {
    if (timer instanceof VirtualTimer) timer.cancel();
    else realClear(timer as Parameters<typeof realClear>[0]);
  };
  Object.assign(globalThis, {
    // Promisified by Node's own means, so that what hangs on the function stays there.
    setTimeout: Object.assign((callback: Callback, ms = 0, ...args: unknown[]) => {
      const process = current.getStore();
      if (!process) return realTimeout(callback, ms, ...args);
      const { cancel } = process.startTimer(ms, () => callback(...args));
      return new VirtualTimer(cancel);
    }, realTimeout),
    setInterval: Object.assign((callback: Callback, ms = 0, ...args: unknown[]) => {
      const process = current.getStore();
      if (!process) return realInterval(callback, ms, ...args);
      return startInterval(process, ms, () => callback(...args));
    }, realInterval),
    clearTimeout: clear,
    clearInterval: clear,
  });
  Object.assign(timersPromises, {
    setTimeout: (ms = 0, value?: unknown, options: { signal?: AbortSignal } = {}) => {
      const process = current.getStore();
      return process ? rest(process, ms, value, options.signal) : realRest(ms, value, options);
    },
  });
  syncBuiltinESMExports();
  performance.now = () => current.getStore()?.nowMs() ?? realNow();
  performance.eventLoopUtilization = (...since) =>
    current.getStore() ? { idle: 1, active: 0, utilization: 0 } : realUtilization(...since);
  Math.random = () => (current.getStore()?.random ?? realRandom)();
}

install();
