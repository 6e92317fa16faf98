import { setTimeout as delay } from 'node:timers/promises';
import { type BrokerProcess, launchBroker } from '../support/broker/broker-process.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

export interface BrokerCrewOptions {
  count: number;
  env: Record<string, string>;
  /** What only the one with this number has in its environment. */
  envOf?: (number: number) => Record<string, string>;
}

/** So many brokers, of which some are dead at any time and about to be started again. */
export interface BrokerCrew {
  living(): readonly BrokerProcess[];
  /** How many were killed. */
  readonly kills: number;
  /** Kills one, whichever; it is started again. */
  killOne(random: SeededRandom): void;
  /** Kills one after the other, in no order, until the signal; resolves when all of them are up again. */
  killAtRandom(random: SeededRandom, onKill: () => void, signal: AbortSignal): Promise<void>;
  /** Kills all of them for good. */
  end(): Promise<void>;
}

const KILL_EVERY_MS = { from: 200, to: 500 };
/** Clients need somebody to talk to. */
const LEAST_LIVING = 1;
/** A broker that is started while the store is away says so and ends: a supervisor starts it again. */
const START_TRIES = 20;
const START_AGAIN_MS = 200;

export async function startBrokerCrew({ count, env, envOf }: BrokerCrewOptions): Promise<BrokerCrew> {
  const living = new Map<BrokerProcess, number>();
  const starting = new Set<Promise<void>>();
  let ended = false;
  let kills = 0;

  async function start(number: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const broker = await launchBroker({ env: { ...env, ...envOf?.(number) } });
        living.set(broker, number);
        if (ended) await broker.kill9();
        return;
      } catch (error) {
        if (ended) return;
        if (tries === START_TRIES) throw error;
        await delay(START_AGAIN_MS);
      }
    }
  }
  const track = (start: Promise<void>) => {
    starting.add(start);
    start.then(() => starting.delete(start)).catch(() => undefined);
  };

  const crew: BrokerCrew = {
    living: () => [...living.keys()],
    get kills() {
      return kills;
    },
    killOne(random) {
      const [victim, number] = random.pick([...living]);
      living.delete(victim);
      kills++;
      track(victim.kill9().then(() => start(number)));
    },
    async killAtRandom(random, onKill, signal) {
      while (!signal.aborted) {
        await delay(random.whole(KILL_EVERY_MS.from, KILL_EVERY_MS.to));
        if (living.size <= LEAST_LIVING || signal.aborted) continue;
        crew.killOne(random);
        onKill();
      }
      await Promise.all(starting);
    },
    async end() {
      ended = true;
      await Promise.allSettled(starting);
      await Promise.all([...living.keys()].map((broker) => broker.kill9()));
      living.clear();
    },
  };
  try {
    await Promise.all(Array.from({ length: count }, (_, number) => start(number)));
  } catch (error) {
    await crew.end();
    throw error;
  }
  return crew;
}
