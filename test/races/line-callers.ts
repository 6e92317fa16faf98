import { setTimeout as delay } from 'node:timers/promises';
import {
  type Answer,
  type AnswerBody,
  type BrokerProcess,
  TRACK_TOKEN,
} from '../support/broker/broker-process.ts';
import type { AllocateCall, MarkCall } from '../support/history/history.ts';
import type { Recorder } from '../support/history/recorder.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

export interface LineCallersOptions {
  recorder: Recorder;
  /** Those that answer at this moment. */
  living: () => readonly BrokerProcess[];
  random: SeededRandom;
  /** Callers who wait until they are served, each once. */
  patient: number;
  /** Callers who go away in the middle of a call, and never come back. */
  vanishing: number;
  /** Callers who do not wait, and ask again and again while the storm lasts. */
  pushing: number;
  /** How long a call waits, seconds. */
  waitSeconds: number;
}

export interface LineCallers {
  /** Answers by kind, such as `allocate 202`; calls without an answer as `allocate -`. */
  readonly kinds: ReadonlyMap<string, number>;
  /** How many patient ones have been served. */
  readonly served: number;
  /** Resolves when every patient caller was served and has given its sandbox back. */
  readonly done: Promise<void>;
  /** Resolves when those who push have their last answer. */
  stop(): Promise<void>;
}

/** After a call without an answer. */
const AGAIN_MS = 30;
const PUSH_EVERY_MS = 25;
const LONGEST_HOLD_MS = 40;
const VANISHES_WITHIN_MS = 900;
/** One in so many is more important than the others. */
const URGENT = 0.1;

/** Callers who all come at once, and wait in line for few sandboxes, between others who vanish and others who push. */
export function startLineCallers(options: LineCallersOptions): LineCallers {
  const { recorder, living, waitSeconds } = options;
  const kinds = new Map<string, number>();
  let served = 0;
  let running = true;

  async function send(
    op: string,
    path: string,
    asked: { id: string; holder: string; body?: object; signal?: AbortSignal },
    random: SeededRandom,
  ): Promise<Answer | undefined> {
    // Where the only replica was killed, nobody is there to be asked.
    const somebody = living();
    const answer =
      somebody.length === 0
        ? undefined
        : await post(random.pick(somebody), path, asked).catch(() => undefined);
    const code = answer?.json.error?.code;
    const kind = `${op} ${answer?.status ?? '-'}${code === undefined ? '' : ` ${code}`}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    return answer === undefined || answer.status >= 500 ? undefined : answer;
  }

  const allocate = (
    asked: Pick<AllocateCall, 'holder' | 'waitSeconds' | 'priority'>,
    random: SeededRandom,
    signal?: AbortSignal,
  ): Promise<AllocateCall['outcome']> =>
    recorder.record({ op: 'allocate', ...asked }, async (id) => {
      const { holder, waitSeconds: wait_seconds, priority } = asked;
      const body = wait_seconds === undefined ? {} : { wait_seconds, priority };
      const answer = await send(
        'allocate',
        '/v1/allocate',
        { id, holder, body, ...(signal && { signal }) },
        random,
      );
      return answer ? outcomeOf(answer) : { type: 'unknown' };
    });

  async function giveBack(holder: string, sandboxId: string, random: SeededRandom): Promise<void> {
    await delay(random.whole(0, LONGEST_HOLD_MS));
    const mark = (): Promise<MarkCall['outcome']> =>
      recorder.record({ op: 'mark', holder, sandboxId }, async (id) => {
        const path = `/v1/sandboxes/${sandboxId}/mark-for-deletion`;
        const answer = await send('mark', path, { id, holder }, random);
        if (answer === undefined) return { type: 'unknown' };
        return answer.status === 200
          ? { type: 'done' }
          : { type: 'refused', code: String(answer.json.error?.code) };
      });
    while ((await mark()).type === 'unknown') await delay(AGAIN_MS);
  }

  async function waitForTurn(holder: string, random: SeededRandom): Promise<void> {
    const priority = random.chance(URGENT) ? 1 : 0;
    for (;;) {
      const outcome = await allocate({ holder, waitSeconds, priority }, random);
      if (outcome.type === 'leased') {
        served++;
        return await giveBack(holder, outcome.sandboxId, random);
      }
      if (outcome.type !== 'in_line') await delay(AGAIN_MS);
    }
  }

  async function vanish(holder: string, random: SeededRandom): Promise<void> {
    const signal = AbortSignal.timeout(random.whole(1, VANISHES_WITHIN_MS));
    while (!signal.aborted) await allocate({ holder, waitSeconds, priority: 0 }, random, signal);
  }

  async function push(name: string, random: SeededRandom): Promise<void> {
    for (let life = 0; running; life++) {
      const holder = `${name}-${life}`;
      const outcome = await allocate({ holder }, random);
      if (outcome.type === 'leased') await giveBack(holder, outcome.sandboxId, random);
      await delay(PUSH_EVERY_MS);
    }
  }

  const each = (count: number, name: string, live: (name: string, random: SeededRandom) => Promise<void>) =>
    Promise.all(Array.from({ length: count }, (_, index) => live(`${name}-${index}`, options.random.fork())));
  const pushing = each(options.pushing, 'pushing', push);
  const done = Promise.all([
    each(options.patient, 'patient', waitForTurn),
    each(options.vanishing, 'vanishing', vanish),
  ]).then(() => undefined);
  return {
    kinds,
    get served() {
      return served;
    },
    done,
    async stop() {
      running = false;
      await pushing;
    },
  };
}

async function post(
  { url }: BrokerProcess,
  path: string,
  asked: { id: string; holder: string; body?: object; signal?: AbortSignal },
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${TRACK_TOKEN}`,
      'content-type': 'application/json',
      'x-correlation-id': asked.id,
      'x-track-id': asked.holder,
    },
    body: JSON.stringify(asked.body ?? {}),
    ...(asked.signal && { signal: asked.signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: {}, text, json: JSON.parse(text) as AnswerBody };
}

function outcomeOf({ status, json }: Answer): AllocateCall['outcome'] {
  if (json.error?.code === 'NO_SANDBOXES_AVAILABLE') return { type: 'none_free' };
  if (status === 202) return { type: 'in_line', ticket: String(json['ticket_id']) };
  if (status > 201) return { type: 'refused', code: json.error?.code ?? 'no code' };
  return {
    type: 'leased',
    sandboxId: String(json.sandbox_id),
    replayed: status === 200,
    leaseOver: json['lease_over'] === true,
  };
}
