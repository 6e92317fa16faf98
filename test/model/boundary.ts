import type { FarEnd, FaultPlan, Refusal } from './faults.ts';
import { outside } from './virtual-time.ts';
import type { ModelProcess, World } from './world.ts';

/** A call that leaves a process. */
export interface OutgoingCall<Answer> {
  to: FarEnd;
  /** Carries it out on the far side. */
  perform: () => Promise<Answer>;
  /** Fires when the caller gives up. */
  signal: AbortSignal | undefined;
  /** What the caller is told of a call that was refused, or whose answer was lost. */
  errorFor: (how: Refusal) => Error;
  /** What a caller is told that has given up. */
  givenUp: () => Error;
  /** A call that its caller has given up before it arrived never arrives. */
  endsWithCaller: boolean;
}

/** Every call between a process and the store or the provider goes through here: this is where faults strike. */
export interface Boundary {
  send<Answer>(process: ModelProcess, call: OutgoingCall<Answer>): Promise<Answer>;
}

type Settled<Answer> = { answer: Answer } | { error: unknown };

/** `onDeath` is told of a process that a fault has killed. */
export function createBoundary(
  world: World,
  plan: FaultPlan,
  onDeath: (process: ModelProcess) => void,
): Boundary {
  async function perform<Answer>(call: OutgoingCall<Answer>): Promise<Settled<Answer>> {
    try {
      return { answer: await outside(call.perform) };
    } catch (error) {
      return { error };
    }
  }

  const die = (process: ModelProcess) => {
    process.kill();
    onDeath(process);
  };

  return {
    send<Answer>(process: ModelProcess, call: OutgoingCall<Answer>): Promise<Answer> {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      // Nobody may be left to hear of it.
      promise.catch(() => undefined);
      if (process.isDead) return promise;
      const fault = plan.take(process, call.to);
      call.signal?.addEventListener('abort', () => reject(call.givenUp()), { once: true });
      if (call.signal?.aborted) reject(call.givenUp());

      const tell = (settled: Settled<Answer>, inMs = 0) =>
        world.cross({
          process,
          readyAtMs: world.nowMs() + inMs,
          go: () => ('answer' in settled ? resolve(settled.answer) : reject(settled.error)),
        });
      const arrive = (then: (settled: Settled<Answer>) => void | Promise<void>, inMs = 0) =>
        world.cross({
          sentBy: process,
          readyAtMs: world.nowMs() + inMs,
          async go() {
            if (call.endsWithCaller && (call.signal?.aborted || process.isDead)) return;
            await then(await perform(call));
          },
        });

      if (!fault) {
        arrive(tell);
        return promise;
      }
      switch (fault.kind) {
        case 'refused':
          tell({ error: call.errorFor(fault.how) });
          break;
        case 'lost':
          arrive(() => tell({ error: call.errorFor('reset') }));
          break;
        case 'late':
          arrive(tell, fault.ms);
          break;
        case 'late_answer':
          arrive((settled) => tell(settled, fault.ms));
          break;
        case 'twice':
          arrive(async (settled) => {
            // A repetition after the answer is beyond what a broker can promise where the far side knows no conditions.
            if (call.endsWithCaller) return tell(await perform(call));
            tell(settled);
            arrive(() => undefined, fault.ms);
          });
          break;
        case 'death':
          if (fault.arrives) arrive(() => die(process));
          else die(process);
          break;
        case 'frozen':
          process.freeze(fault.ms, fault);
          arrive(tell);
          break;
      }
      return promise;
    },
  };
}
