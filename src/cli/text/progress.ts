import { SingleBar } from 'cli-progress';

/** How far a long work is. */
export interface Progress {
  /** `done` of `total` so far; what is not known yet may be told later. */
  tell(done: number, total?: number): void;
  end(): void;
}

/** A bar on standard error where that is a terminal; nothing anywhere else, so that logs and pipes stay clean. */
export function startProgress(what: string, total: number): Progress {
  const bar = new SingleBar({
    format: `${what} {bar} {value}/{total}, {duration_formatted}`,
    stream: process.stderr,
    noTTYOutput: false,
    hideCursor: true,
  });
  bar.start(total, 0);
  return {
    tell(done, newTotal) {
      if (newTotal !== undefined) bar.setTotal(newTotal);
      bar.update(done);
    },
    end: () => bar.stop(),
  };
}
