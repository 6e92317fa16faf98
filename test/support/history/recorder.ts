import { randomUUID } from 'node:crypto';
import type { Call } from './history.ts';

/** What is known of a call before it is sent. */
export type Asked = Call extends infer Each
  ? Each extends Call
    ? Omit<Each, 'id' | 'startMs' | 'endMs' | 'outcome'>
    : never
  : never;

type OutcomeOf<Question> = Question extends { op: infer Op }
  ? Call extends infer Each
    ? Each extends Call
      ? Op extends Each['op']
        ? Each['outcome']
        : never
      : never
    : never
  : never;

export interface Recorder {
  readonly calls: readonly Call[];
  now(): number;
  /**
   * Makes a call and notes it. `send` gets the id that the broker must get as the correlation id, and says how the call
   * ended; where it throws, the outcome is unknown, and the error goes on to the caller.
   */
  record<Question extends Asked>(
    asked: Question,
    send: (id: string) => Promise<OutcomeOf<Question>>,
  ): Promise<OutcomeOf<Question>>;
}

/** Notes calls for {@link Call}'s history. `now` must never go back; the default is the machine's clock. */
export function createRecorder({
  now = Date.now,
  newId = randomUUID,
}: {
  now?: () => number;
  newId?: () => string;
} = {}): Recorder {
  const calls: Call[] = [];
  return {
    calls,
    now,
    async record(asked, send) {
      const id = newId();
      // Noted before it is sent: a call that never ends has had its effect all the same.
      const call = { ...asked, id, startMs: now(), endMs: Infinity, outcome: { type: 'unknown' } } as Call;
      calls.push(call);
      const outcome = await send(id);
      call.outcome = outcome;
      if (outcome.type !== 'unknown') call.endMs = now();
      return outcome;
    },
  };
}
