import { setTimeout as delay } from 'node:timers/promises';
import { SANDBOX_STATUSES, type SandboxStatus } from '../../src/domain/sandbox.ts';
import { type Answer, type BrokerProcess, TRACK_TOKEN } from '../support/broker/broker-process.ts';
import type { AllocateCall, GetCall, MarkCall } from '../support/history/history.ts';
import type { Recorder } from '../support/history/recorder.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

export interface StormClientsOptions {
  recorder: Recorder;
  /** Those that answer at this moment. */
  living: () => readonly BrokerProcess[];
  random: SeededRandom;
  /** Clients at once. */
  count: number;
  /** Names that some of them ask for. */
  namePrefixes: readonly string[];
}

export interface StormClients {
  /** Answers by kind, such as `allocate 201`; calls without an answer as `allocate -`. */
  readonly kinds: ReadonlyMap<string, number>;
  /** Resolves when each client has its last answer. */
  stop(): Promise<void>;
}

/** What a client does before it asks again: after no answer, and after "none is free". */
const AGAIN_MS = 30;
const REFUSED_MS = 120;
const REFUSALS_BEFORE_GIVING_UP = 4;
const LONGEST_HOLD_MS = 200;

/** Clients that lease, ask again, look, give back or forget, and repeat at another broker whatever was not answered. */
export function startStormClients(options: StormClientsOptions): StormClients {
  const kinds = new Map<string, number>();
  let running = true;
  const isRunning = () => running;
  const clients = Array.from({ length: options.count }, async (_, client) => {
    const random = options.random.fork();
    const track = connect(options, random, kinds);
    for (let life = 0; running; life++) await live(`client-${client}-${life}`, track, random, isRunning);
  });
  return {
    kinds,
    async stop() {
      running = false;
      await Promise.all(clients);
    },
  };

  /** One holder, from its first call to its last. */
  async function live(holder: string, track: Track, random: SeededRandom, goOn: () => boolean) {
    const isKeyed = random.chance(0.2);
    const prefix = random.chance(0.15) ? { namePrefix: random.pick(options.namePrefixes) } : {};
    let work = 0;
    do {
      // A key of one's own is for one lease; the default one is free again after it.
      const asked = { holder, ...prefix, ...(isKeyed && { key: `key-${++work}-of-${holder}` }) };
      const sandboxId = await obtain(asked, track, random, goOn);
      if (sandboxId === undefined) return;
      if (random.chance(0.3)) await track.allocate(asked);
      if (random.chance(0.2)) await track.get(holder, sandboxId);
      await delay(random.whole(0, LONGEST_HOLD_MS));
      // Forgotten: the broker takes it back by itself.
      if (random.chance(0.25)) return;
      while ((await track.mark(holder, sandboxId)).type === 'unknown' && goOn()) await delay(AGAIN_MS);
      if (random.chance(0.2)) await track.mark(holder, sandboxId);
      // A duplicate that is late.
      if (isKeyed && random.chance(0.5)) await track.allocate(asked);
    } while (goOn() && random.chance(0.3));
  }
}

async function obtain(
  asked: AllocateQuestion,
  track: Track,
  random: SeededRandom,
  goOn: () => boolean,
): Promise<string | undefined> {
  for (let refusals = 0; refusals < REFUSALS_BEFORE_GIVING_UP && goOn(); ) {
    const twice = random.chance(0.2) ? [track.allocate(asked)] : [];
    const outcomes = await Promise.all([track.allocate(asked), ...twice]);
    const won = outcomes.find((outcome) => outcome.type === 'leased');
    // Its own key's lease may be over: it has run out while nothing was answered.
    if (won) return won.leaseOver ? undefined : won.sandboxId;
    const refused = outcomes.every(({ type }) => type === 'none_free');
    if (refused) refusals++;
    await delay(refused ? REFUSED_MS : AGAIN_MS);
  }
  return undefined;
}

interface AllocateQuestion {
  holder: string;
  key?: string;
  namePrefix?: string;
}

/** A track's calls, each to any living broker, recorded. */
interface Track {
  allocate(asked: AllocateQuestion): Promise<AllocateCall['outcome']>;
  mark(holder: string, sandboxId: string): Promise<MarkCall['outcome']>;
  get(holder: string, sandboxId: string): Promise<GetCall['outcome']>;
}

function connect(
  { recorder, living }: StormClientsOptions,
  random: SeededRandom,
  kinds: Map<string, number>,
): Track {
  /** Undefined: no answer, or none that says what became of it. */
  async function send(
    op: string,
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string>,
  ): Promise<Answer | undefined> {
    const authorized = { authorization: `Bearer ${TRACK_TOKEN}`, ...headers };
    const answer = await random
      .pick(living())
      .call(method, path, { headers: authorized })
      .catch(() => undefined);
    const code = answer?.json.error?.code;
    const kind = `${op} ${answer?.status ?? '-'}${code === undefined ? '' : ` ${code}`}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    return answer === undefined || answer.status >= 500 ? undefined : answer;
  }

  const track = (id: string, holder: string) => ({ 'x-correlation-id': id, 'x-track-id': holder });
  const unknown = { type: 'unknown' } as const;
  const refused = ({ json }: Answer) => ({ type: 'refused', code: json.error?.code ?? 'no code' }) as const;

  return {
    allocate: ({ holder, key, namePrefix }) =>
      recorder.record({ op: 'allocate', holder, key, namePrefix }, async (id) => {
        const answer = await send('allocate', 'POST', '/v1/allocate', {
          ...track(id, holder),
          ...(key !== undefined && { 'idempotency-key': key }),
          ...(namePrefix !== undefined && { 'x-sandbox-name-prefix': namePrefix }),
        });
        if (answer === undefined) return unknown;
        if (answer.json.error?.code === 'NO_SANDBOXES_AVAILABLE') return { type: 'none_free' };
        if (answer.status > 201) return refused(answer);
        return {
          type: 'leased',
          sandboxId: String(answer.json.sandbox_id),
          replayed: answer.status === 200,
          leaseOver: answer.json['lease_over'] === true,
        };
      }),
    mark: (holder, sandboxId) =>
      recorder.record({ op: 'mark', holder, sandboxId }, async (id) => {
        const path = `/v1/sandboxes/${sandboxId}/mark-for-deletion`;
        const answer = await send('mark', 'POST', path, track(id, holder));
        if (answer === undefined) return unknown;
        return answer.status === 200 ? { type: 'done' } : refused(answer);
      }),
    get: (holder, sandboxId) =>
      recorder.record({ op: 'get', holder, sandboxId }, async (id) => {
        const answer = await send('get', 'GET', `/v1/sandboxes/${sandboxId}`, track(id, holder));
        if (answer === undefined) return unknown;
        if (answer.status !== 200) return refused(answer);
        return { type: 'shown', status: statusOf(answer.json['status']) };
      }),
  };
}

function statusOf(value: unknown): SandboxStatus {
  const status = SANDBOX_STATUSES.find((each) => each === value);
  if (status === undefined) throw new Error(`no status of a sandbox: ${String(value)}`);
  return status;
}
