import type { InLine } from '../api/types/line.ts';
import { BrokerError } from './broker-error.ts';
import type { Answer } from './call.ts';
import { pause, readRetryAfter } from './waiting.ts';

export interface InLineCalls {
  /** Waits at the broker for so many seconds; the call may go on for `leftMs` and its own time. */
  ask(seconds: number, leftMs: number): Promise<Answer>;
  leave(): Promise<unknown>;
}

export interface InLineOptions {
  /** At the most, seconds. */
  wait: number;
  /** A call of it, seconds. */
  longestCall: number;
  onPosition?: ((place: InLine) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const NEVER = new AbortController().signal;

/** The answer with the lease, over as many calls as it takes. Who gives up, for whatever reason, leaves the line. */
export async function waitInLine(
  { ask, leave }: InLineCalls,
  { wait, longestCall, onPosition, signal = NEVER }: InLineOptions,
): Promise<Answer> {
  const endsAtMs = performance.now() + wait * 1000;
  let isIn = true;
  let longest = 1;
  try {
    for (;;) {
      const leftMs = Math.max(0, endsAtMs - performance.now());
      const answer = await ask(Math.min(longest, Math.ceil(leftMs / 1000)), leftMs);
      if (answer.status !== 202) {
        isIn = false;
        return answer;
      }
      // The first call is short: it is told its place soon.
      longest = longestCall;
      const place = answer.body as InLine;
      onPosition?.(place);
      if (performance.now() >= endsAtMs) {
        const message = `No turn within ${wait} s: place ${place.position} of ${place.waiting}.`;
        throw new BrokerError('NO_SANDBOXES_AVAILABLE', message, { status: 202, attempts: 1 });
      }
      await pause((readRetryAfter(answer.headers.get('retry-after'), Date.now()) ?? 1) * 1000, signal);
    }
  } finally {
    if (isIn) void leave().catch(() => undefined);
  }
}
