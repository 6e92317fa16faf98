import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, BrokerProcess } from '../support/broker/broker-process.ts';
import { replicaFor } from '../support/broker/broker-replicas.ts';
import { kindOf } from './drill.ts';

export interface TrafficOptions {
  brokers: readonly BrokerProcess[];
  /** Begins every holder's name: fresh for each drill. */
  id: string;
  /** Callers at the same time. */
  lanes: number;
  /** Pause of a caller between its calls, milliseconds. */
  paceMs: number;
}

/** What the callers were told, and what they saw of the brokers. */
export interface Traffic {
  /** Sandbox by holder, of every lease that a caller was told of and has not asked to end. */
  readonly told: ReadonlyMap<string, string>;
  /** Holders who are told that their sandbox is given back. */
  readonly returned: ReadonlySet<string>;
  /** Every answer's kind, such as `201` or `503 STORE_UNAVAILABLE`. */
  readonly kinds: readonly string[];
  /** What no caller may ever see, in words. */
  readonly violations: readonly string[];
  readonly slowestMs: number;
  /** Resolves when every caller has brought its last call to an end. Rejects when one could not. */
  stop(): Promise<void>;
}

/** A caller that is refused for so long gives up: nothing recovers any more. */
const GIVE_UP_MS = 60_000;

/** Callers that take sandboxes and give every other one back, and ask again when they are told to come again. */
export function startTraffic({ brokers, id, lanes, paceMs }: TrafficOptions): Traffic {
  const told = new Map<string, string>();
  const holderOf = new Map<string, string>();
  const returned = new Set<string>();
  const kinds: string[] = [];
  const violations: string[] = [];
  let slowestMs = 0;
  let calls = 0;
  let running = true;

  async function observed(send: (broker: BrokerProcess) => Promise<Answer>, allowed: readonly number[]) {
    const startedMs = performance.now();
    calls += 1;
    const answer = await send(replicaFor(brokers, calls)).catch((error: unknown) => String(error));
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    if (typeof answer === 'string') {
      violations.push(`no answer: ${answer}`);
      return undefined;
    }
    kinds.push(kindOf(answer));
    const { status, headers } = answer;
    if (status === 503 && !(Number(headers['retry-after']) >= 1)) violations.push('503 without Retry-After');
    else if (status !== 503 && !allowed.includes(status)) violations.push(`answered ${kindOf(answer)}`);
    return answer;
  }

  /** Asks, by turns, both replicas, until one does not say "come again". */
  async function untilAnswered(
    send: (broker: BrokerProcess) => Promise<Answer>,
    allowed: readonly number[],
  ): Promise<Answer> {
    const deadlineMs = performance.now() + GIVE_UP_MS;
    for (;;) {
      const answer = await observed(send, allowed);
      if (answer !== undefined && answer.status !== 503) return answer;
      if (performance.now() > deadlineMs) throw new Error(`no answer but 503 for ${GIVE_UP_MS} ms`);
      await delay(paceMs);
    }
  }

  async function lane(number: number): Promise<void> {
    for (let turn = 0; running; turn += 1) {
      const holder = `${id}-${number}-${turn}`;
      const { status, json } = await untilAnswered((broker) => broker.allocate(holder), [200, 201, 409]);
      if (status > 201) continue;
      const sandboxId = String(json.sandbox_id);
      const other = holderOf.get(sandboxId);
      if (other !== undefined) violations.push(`${sandboxId} is ${other}'s and was given to ${holder}`);
      holderOf.set(sandboxId, holder);
      told.set(holder, sandboxId);
      await delay(paceMs);
      if (turn % 2 === 1) continue;
      // From the first attempt on it may be gone, whatever the answer.
      told.delete(holder);
      holderOf.delete(sandboxId);
      const { status: marked } = await untilAnswered((broker) => broker.mark(sandboxId, holder), [200]);
      if (marked === 200) returned.add(holder);
    }
  }

  const done = Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  // Whoever stops the traffic hears of it; until then nobody listens.
  done.catch(() => undefined);
  return {
    told,
    returned,
    kinds,
    violations,
    get slowestMs() {
      return slowestMs;
    },
    async stop() {
      running = false;
      await done;
    },
  };
}

/** Asks for signs of life over and over, and gives what it was answered once it is ended. */
export function watchHealth(brokers: readonly BrokerProcess[]): () => Promise<string[]> {
  const seen: string[] = [];
  let watching = true;
  const done = Promise.all(
    brokers.map(async (broker) => {
      while (watching) {
        seen.push(await broker.call('GET', '/healthz').then(kindOf, String));
        await delay(50);
      }
    }),
  );
  return async () => {
    watching = false;
    await done;
    return seen;
  };
}
