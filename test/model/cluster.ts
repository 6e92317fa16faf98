import { BrokerError, type ErrorCode } from '../../src/domain/errors.ts';
import type { Replica } from './replica.ts';
import { inside } from './virtual-time.ts';
import { drain, type ModelProcess, type World } from './world.ts';

/** Far more than any program needs: who takes more goes round in circles. */
const MAX_STEPS = 40_000;

/** What a call may end with where faults are about: nobody knows whether it had its effect. */
export const OPEN_ENDS: ReadonlySet<ErrorCode> = new Set([
  'BUSY',
  'STORE_UNAVAILABLE',
  'EFFECT_IN_PROGRESS',
  'CLOCK_OFF',
]);

export interface ClusterOptions {
  world: World;
  /** Builds a replica for a slot, inside the process that it is given. */
  createReplica: (slot: number, process: ModelProcess) => Replica;
  note: (line: string) => void;
  /** Told of what no fault excuses. */
  onFinding: (message: string) => void;
}

/** The replicas of a program, and the work that is under way in them. */
export interface Cluster {
  readonly replicas: readonly Replica[];
  /** Starts the replica of a slot. */
  launch(slot: number): Replica;
  /** A replica that has died is started again at once, by another name and with nothing in its memory. */
  replace(dead: ModelProcess): void;
  /** Learns who else lives and what is free, as a broker does every few seconds. */
  refresh(replica: Replica): Promise<void>;
  /** Starts work within a replica. */
  begin(replica: Replica, what: string, work: () => Promise<unknown>): void;
  /** Lets happen what can, until all that was begun has ended; what is frozen is not waited for. */
  rest(): Promise<void>;
  pass(ms: number): Promise<void>;
  /** Wakes everybody up, and lets arrive what is still on its way. */
  settle(): Promise<void>;
  kill(): void;
}

export function createCluster({ world, createReplica, note, onFinding }: ClusterOptions): Cluster {
  const replicas: Replica[] = [];
  const running = new Set<{ process: ModelProcess; what: string }>();
  let starts = 0;

  const isBusy = () =>
    [...running].some(({ process }) => !process.isDead && process.frozenUntilMs <= world.nowMs());

  async function refresh({ core }: Replica): Promise<void> {
    await core.register.beat(new AbortController().signal);
    await core.readyList.refresh();
  }

  function begin(replica: Replica, what: string, work: () => Promise<unknown>): void {
    const { process } = replica;
    const entry = { process, what };
    running.add(entry);
    note(`${process.name} begins ${what}`);
    inside(process, work)
      .catch((error: unknown) => {
        if (error instanceof BrokerError && OPEN_ENDS.has(error.code)) return;
        onFinding(`unexpected: ${what} on ${process.name} ended with ${describe(error)}`);
      })
      .finally(() => {
        note(`${process.name} ends ${what}`);
        running.delete(entry);
      });
  }

  function launch(slot: number): Replica {
    const process = world.createProcess(`r${slot}.${++starts}`);
    const replica = inside(process, () => createReplica(slot, process));
    replicas[slot] = replica;
    return replica;
  }

  return {
    replicas,
    launch,
    replace(dead) {
      const slot = replicas.findIndex(({ process }) => process === dead);
      note(`${dead.name} dies`);
      if (slot < 0) return;
      const replica = launch(slot);
      begin(replica, 'start', () => refresh(replica));
    },
    refresh,
    begin,
    async rest() {
      await drain();
      while (isBusy()) {
        if (world.steps <= MAX_STEPS && (await world.step())) continue;
        const names = [...running].map(({ process, what }) => `${what} on ${process.name}`);
        onFinding(`unexpected: no end of ${names.join(', ')}`);
        return;
      }
    },
    async pass(ms) {
      await drain();
      const untilMs = world.nowMs() + ms;
      while (world.nowMs() < untilMs && world.steps <= MAX_STEPS) await world.step({ untilMs });
    },
    async settle() {
      for (const { process } of replicas) process.thaw();
      await drain();
      while (await world.step()) {
        if (world.steps <= MAX_STEPS) continue;
        onFinding('unexpected: it does not come to rest');
        return;
      }
    },
    kill() {
      for (const { process } of replicas) process.kill();
    },
  };
}

const describe = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ''}` : String(error);
