import {
  ConditionalCheckFailedException,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';

/** One call on its way to the engine. */
export interface SentCall {
  /** DynamoDB's name for it, such as `TransactWriteItems`. */
  operation: string;
  /** Its input as JSON, for looking things up in it. */
  json: string;
  /** When it came here, on the monotonic clock. */
  atMs: number;
  /** When the client had its answer; undefined while it is under way. */
  answeredAtMs?: number;
}

/** What becomes of a call: `send` takes it to the engine and brings its answer, as often as it is called. */
export type Fault = <Answer>(send: () => Promise<Answer>) => Promise<Answer>;

export interface FaultInjector {
  /** Every call so far, retries included, in the order in which they came; those that never arrived, too. */
  readonly calls: readonly SentCall[];
  /** Lets `fault` decide about the next `times` (default 1) calls of `operation` for which `matching` holds. */
  next(
    operation: string,
    fault: Fault,
    options?: { times?: number; matching?: (call: SentCall) => boolean },
  ): void;
  /** Faults that no call has met yet. */
  readonly left: number;
  /** From here on everything goes through. */
  clear(): void;
}

/**
 * Stands between a store's client and its engine, and does to the calls what engines never do by themselves. Calls that
 * no fault waits for go through.
 */
export function injectFaults({ raw }: Pick<StoreClient, 'raw'>): FaultInjector {
  const calls: SentCall[] = [];
  let planned: { operation: string; fault: Fault; times: number; matching: (call: SentCall) => boolean }[] =
    [];

  raw.middlewareStack.add(
    (next, context) => async (args) => {
      const operation = (context.commandName ?? '').replace(/Command$/, '');
      const call: SentCall = { operation, json: JSON.stringify(args.input), atMs: performance.now() };
      calls.push(call);
      const plan = planned.find(
        (each) => each.operation === operation && each.times > 0 && each.matching(call),
      );
      if (plan) plan.times--;
      try {
        return await (plan ? plan.fault(() => next(args)) : next(args));
      } finally {
        call.answeredAtMs = performance.now();
      }
    },
    { step: 'serialize', priority: 'high', name: 'injectedFaults' },
  );

  return {
    calls,
    next(operation, fault, { times = 1, matching = () => true } = {}) {
      planned.push({ operation, fault, times, matching });
    },
    get left() {
      return planned.reduce((sum, each) => sum + each.times, 0);
    },
    clear() {
      planned = [];
    },
  };
}

/** What the store says to a write that it will never take. */
export const refusedForGood = (): Error =>
  Object.assign(new Error('not this one'), { name: 'ValidationException' });

/** The call does not arrive; the client is told `error`. */
export const failWith =
  (error: () => Error): Fault =>
  () =>
    Promise.reject(error());

/** The call is carried out (or refused), and its answer lost on the way. */
export const loseAnswer: Fault = async (send) => {
  await send().catch(() => {
    // A refusal is lost like any other answer.
  });
  throw connectionReset();
};

/** The network delivers the call twice; the client gets the answer to the first. */
export const duplicate: Fault = async (send) => {
  const answers = await Promise.allSettled([send(), send()]);
  const [first] = answers;
  if (first.status === 'rejected') throw first.reason;
  return first.value;
};

/** A fault that keeps calls, or their answers, waiting. */
export interface Holding {
  fault: Fault;
  /** How many are waiting here. */
  readonly waiting: number;
  /** Lets them go on, and all that come later. */
  release(): void;
}

/** Keeps calls from being sent until they are released. */
export function holdCalls(): Holding {
  return holding(async (send, wait) => {
    await wait();
    return await send();
  });
}

/** Sends calls and keeps their answers, refusals too, until they are released: what they say is old by then. */
export function holdAnswers(): Holding {
  return holding(async (send, wait) => {
    const answer = send();
    await Promise.allSettled([answer]);
    await wait();
    return await answer;
  });
}

function holding(
  act: <Answer>(send: () => Promise<Answer>, wait: () => Promise<void>) => Promise<Answer>,
): Holding {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let waiting = 0;
  const wait = async () => {
    waiting++;
    await released;
    waiting--;
  };
  return {
    get waiting() {
      return waiting;
    },
    release,
    fault: (send) => act(send, wait),
  };
}

/** A fault that lets the client's time run out while the call is still on its way. */
export interface Straggler {
  fault: Fault;
  /** The late call arrives now. False: the engine refused it. Throws when there is none. */
  arrive(): Promise<boolean>;
}

/** The client sees a time-out at once; the call itself arrives whenever the test says so. */
export function straggle(): Straggler {
  let late: (() => Promise<unknown>) | undefined;
  return {
    fault: (send) => {
      late = send;
      return Promise.reject(timedOut());
    },
    async arrive() {
      if (!late) throw new Error('no call is on its way');
      try {
        await late();
        return true;
      } catch (error) {
        const isRefusal =
          error instanceof TransactionCanceledException || error instanceof ConditionalCheckFailedException;
        if (isRefusal) return false;
        throw error;
      }
    },
  };
}

/** The engine refuses a transaction: one code for each of its items, in their order; `None` where nothing is wrong. */
export const cancelled = (...codes: string[]): Error =>
  new TransactionCanceledException({
    message: `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes.join(', ')}]`,
    $metadata: { httpStatusCode: 400 },
    CancellationReasons: codes.map((Code) => ({ Code })),
  });

/** The engine refuses a single write, because a transaction is at work on its item. */
export const conflicted = (): Error =>
  new TransactionConflictException({
    message: 'Transaction is ongoing for the item',
    $metadata: { httpStatusCode: 400 },
  });

/** An error by which DynamoDB refuses a call, such as `ThrottlingException`. */
export const refused = (name: string, httpStatusCode = 400): Error =>
  Object.assign(new Error(`${name}, injected`), { name, $fault: 'client', $metadata: { httpStatusCode } });

/** As the SDK's handler tells that the other side cut the connection. */
export const connectionReset = (): Error =>
  Object.assign(new Error('other side closed'), { name: 'RequestTimeout', code: 'UND_ERR_SOCKET' });

/** As the SDK's handler tells that nobody answered in time. */
export const timedOut = (): Error => Object.assign(new Error('no answer in time'), { name: 'TimeoutError' });
