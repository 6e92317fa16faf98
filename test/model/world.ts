import { seededRandom } from '../support/seeded-random.ts';
import { inside, type VirtualProcess } from './virtual-time.ts';

/** A process of the model: a replica of the broker, which may be killed and may be stopped for a while. */
export interface ModelProcess extends VirtualProcess {
  readonly name: string;
  readonly isDead: boolean;
  /** The process does nothing until then, and what is meant for it waits. */
  readonly frozenUntilMs: number;
  /** What it has sent before waits as well, as if the network were slow. */
  readonly holdsCalls: boolean;
  kill(): void;
  freeze(ms: number, options: { holdsCalls: boolean }): void;
  thaw(): void;
}

/** Something that waits to happen, such as a call on its way to the store. */
export interface Crossing {
  /** Not before this moment. */
  readyAtMs?: number;
  /** Waits while this process is frozen, and never happens once it is dead. */
  process?: ModelProcess | undefined;
  /** Waits while this process is frozen, if that holds back its calls; happens all the same once it is dead. */
  sentBy?: ModelProcess | undefined;
  go: () => void | Promise<void>;
}

/**
 * Time, and the order in which things happen in it. One thing happens at a time; when nothing is left that can happen
 * at once, time moves on. What comes next follows from the seed: the same program under the same seed is the same run.
 */
export interface World {
  nowMs(): number;
  random(): number;
  createProcess(name: string): ModelProcess;
  cross(crossing: Crossing): void;
  /**
   * Lets one thing happen. `alternative`: something that may happen as well, if the seed says so. False: nothing is left
   * to happen before `untilMs`; it is that time then.
   */
  step(options?: { alternative?: (() => void) | undefined; untilMs?: number }): Promise<boolean>;
  /** How many steps it took so far. */
  readonly steps: number;
}

interface Timer {
  process: ModelProcess;
  dueMs: number;
  fire: () => void;
}

/** How often a process that is preferred makes way for another one. */
const CHANGE_OF_FAVOURITE = 0.03;

/** Lets all run that is not waiting for a timer or a crossing. */
export const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * A world whose schedule follows from `seed`. 0: first come, first served. Even: processes overtake each other by many
 * steps. Odd: anything in any order.
 */
export function createWorld(seed: number, startMs: number): World {
  const random = seededRandom(seed).next;
  const chance = seededRandom(~seed).next;
  let nowMs = startMs;
  let steps = 0;
  let timers: Timer[] = [];
  const crossings: Crossing[] = [];
  const ranks = new Map<ModelProcess | undefined, number>();

  const effectiveMs = ({ dueMs, process }: Timer) => Math.max(dueMs, process.frozenUntilMs);
  const momentOf = ({ readyAtMs = 0, process, sentBy }: Crossing) =>
    Math.max(readyAtMs, process?.frozenUntilMs ?? 0, sentBy?.holdsCalls ? sentBy.frozenUntilMs : 0);

  function nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of timers) if (!next || effectiveMs(timer) < effectiveMs(next)) next = timer;
    return next;
  }

  function rankOf(process: ModelProcess | undefined): number {
    let rank = ranks.get(process);
    if (rank === undefined || random() < CHANGE_OF_FAVOURITE) {
      rank = random();
      ranks.set(process, rank);
    }
    return rank;
  }

  /** The place of what comes next among what is ready; one past it for the alternative. */
  function choose(ready: readonly Crossing[], hasAlternative: boolean): number {
    const choices = ready.length + (hasAlternative ? 1 : 0);
    if (seed === 0 || choices === 1) return 0;
    if (seed % 2 !== 0 || (hasAlternative && random() < 1 / choices)) return Math.floor(random() * choices);
    let best = 0;
    let bestRank = -1;
    for (const [place, { process, sentBy }] of ready.entries()) {
      const rank = rankOf(process ?? sentBy);
      if (rank > bestRank) [best, bestRank] = [place, rank];
    }
    return best;
  }

  async function fire(timer: Timer): Promise<void> {
    timers = timers.filter((other) => other !== timer);
    inside(timer.process, timer.fire);
    await drain();
  }

  return {
    nowMs: () => nowMs,
    random,
    get steps() {
      return steps;
    },

    createProcess(name) {
      let isDead = false;
      let frozenUntilMs = 0;
      let holdsCalls = false;
      const process: ModelProcess = {
        name,
        nowMs: () => nowMs,
        random: chance,
        get isDead() {
          return isDead;
        },
        get frozenUntilMs() {
          return frozenUntilMs;
        },
        get holdsCalls() {
          return holdsCalls;
        },
        kill() {
          isDead = true;
          frozenUntilMs = 0;
          timers = timers.filter((timer) => timer.process !== process);
        },
        freeze(ms, options) {
          frozenUntilMs = nowMs + ms;
          holdsCalls = options.holdsCalls;
        },
        thaw() {
          frozenUntilMs = 0;
        },
        startTimer(ms, callback) {
          const timer = { process, dueMs: nowMs + Math.max(1, Math.ceil(ms)), fire: callback };
          if (!isDead) timers.push(timer);
          return {
            cancel() {
              timers = timers.filter((other) => other !== timer);
            },
          };
        },
      };
      return process;
    },

    cross(crossing) {
      crossings.push(crossing);
    },

    async step({ alternative, untilMs = Number.POSITIVE_INFINITY } = {}) {
      steps++;
      const timer = nextTimer();
      // A process that was frozen fires its timers first, as Node does: only then it looks at what has arrived.
      if (timer && effectiveMs(timer) <= nowMs) {
        await fire(timer);
        return true;
      }
      const alive = crossings.filter(({ process }) => !process?.isDead);
      crossings.splice(0, crossings.length, ...alive);
      const ready = alive.filter((crossing) => momentOf(crossing) <= nowMs);
      if (ready.length > 0 || alternative) {
        const place = choose(ready, alternative !== undefined);
        const crossing = ready[place];
        nowMs += 1;
        if (crossing) {
          crossings.splice(crossings.indexOf(crossing), 1);
          await crossing.go();
        } else alternative?.();
        await drain();
        return true;
      }
      const moments = alive.map(momentOf);
      if (timer) moments.push(effectiveMs(timer));
      const nextMs = Math.min(...moments, Number.POSITIVE_INFINITY);
      if (nextMs <= untilMs && Number.isFinite(nextMs)) {
        nowMs = nextMs;
        return true;
      }
      if (Number.isFinite(untilMs)) nowMs = Math.max(nowMs, untilMs);
      return false;
    },
  };
}
