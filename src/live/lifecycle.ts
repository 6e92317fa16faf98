import { shuttingDown } from '../domain/errors.ts';

/** What a process brings up part by part, and takes down in the opposite order: from wherever it has got to. */
export interface Lifecycle {
  /** Fires with the first moment of the shutdown. */
  readonly stopping: AbortSignal;
  /** Fires when the time for finishing is over: what still waits or runs is left, for the rest needs its time, too. */
  readonly cutOff: AbortSignal;
  /** A part is up, and `stop` takes it down. Throws when the shutdown has begun meanwhile: then nothing more comes up. */
  up(step: string, stop: () => Promise<unknown> | undefined): void;
  /** Runs `bringUp`, which tells of each part by {@link up}. Throws `SHUTTING_DOWN` where a shutdown ended it. */
  start<T>(bringUp: () => Promise<T>): Promise<T>;
  /** Ends a start under way, then takes down what is up. A part that fails to go does not keep the others. Idempotent. */
  stop(): Promise<void>;
  /** The step that the shutdown is at. */
  step(): string | undefined;
}

export interface LifecycleOptions {
  /** From the beginning of the shutdown to the cut-off, milliseconds. */
  cutOffMs: number;
  /** Told of a part that could not be taken down; what it held lapses by itself. */
  onFailure: (step: string, error: unknown) => void;
}

export function createLifecycle({ cutOffMs, onFailure }: LifecycleOptions): Lifecycle {
  const stopping = new AbortController();
  const cutOff = new AbortController();
  const parts: { step: string; stop: () => Promise<unknown> | undefined }[] = [];
  let starting: Promise<unknown> | undefined;
  let stopped: Promise<void> | undefined;
  let step: string | undefined;

  async function takeDown(): Promise<void> {
    stopping.abort(shuttingDown());
    const timer = setTimeout(() => cutOff.abort(shuttingDown()), cutOffMs);
    step = 'end the start';
    await starting?.catch(() => undefined);
    for (const part of parts.reverse()) {
      step = part.step;
      try {
        await part.stop();
      } catch (error) {
        onFailure(step, error);
      }
    }
    clearTimeout(timer);
    step = undefined;
  }

  return {
    stopping: stopping.signal,
    cutOff: cutOff.signal,
    up(name, stop) {
      parts.push({ step: name, stop });
      stopping.signal.throwIfAborted();
    },
    async start(bringUp) {
      stopping.signal.throwIfAborted();
      const up = bringUp();
      starting = up;
      try {
        return await up;
      } catch (error) {
        // Whatever it broke off with: it was told to.
        throw stopping.signal.aborted ? stopping.signal.reason : error;
      }
    },
    stop() {
      stopped ??= takeDown();
      return stopped;
    },
    step: () => step,
  };
}
