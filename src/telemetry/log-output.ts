import { type DestinationStream, pino } from 'pino';

/** Where log lines go. */
export interface LogOutput extends DestinationStream {
  /** Calls back when every line so far has left the process. */
  flush(done: () => void): void;
  /** The process ends: writes what is held at once, or gives it up. Nothing can be written afterwards. */
  endNow(): void;
}

/** Held at the most while nobody reads: some thousand lines. Lines beyond that are dropped. */
const HELD_BYTES = 4 * 1024 * 1024;
/** What is held when the process ends is given so much time. */
const LAST_WORDS_WITHIN_MS = 500;

/**
 * Standard output. While nobody reads it a bounded amount is held and the rest dropped; nobody waits for it, the end of
 * the process included. `onDropped` is told of every line that is lost; when lines are read again, `onResumed` is told
 * how many there were.
 */
export function standardOutput(options: {
  /** Each line is written before the call returns: for a terminal. */
  sync: boolean;
  onDropped: () => void;
  onResumed: (dropped: number) => void;
}): LogOutput {
  let dropped = 0;
  let giveUpAtMs = Number.POSITIVE_INFINITY;
  const out = pino.destination({
    fd: 1,
    sync: options.sync,
    // Written at once either way; but with a `minLength` of 0 the stream's `flush` would not wait for what is on its way.
    minLength: 1,
    maxLength: HELD_BYTES,
    retryEAGAIN: () => performance.now() < giveUpAtMs,
  });
  out.on('drop', () => {
    dropped++;
    options.onDropped();
  });
  out.on('drain', () => {
    const lost = dropped;
    dropped = 0;
    if (lost > 0) options.onResumed(lost);
  });
  return {
    write: (line) => out.write(line),
    flush: (done) => out.flush(done),
    endNow() {
      giveUpAtMs = performance.now() + LAST_WORDS_WITHIN_MS;
      try {
        out.flushSync();
      } catch {
        // Nobody reads: there is nobody to tell.
      }
      // Else pino's own farewell would wait for a reader for ever.
      out.destroy();
    },
  };
}
