import type { CallContext } from '../../src/usecases/context.ts';
import type { OperatorCall } from '../support/history/history.ts';
import type { Recorder } from '../support/history/recorder.ts';
import type { Cluster } from './cluster.ts';
import type { FarSide } from './far-side.ts';
import { createHolders } from './holders.ts';
import { chosen, context, DONE, type OutcomeOf, refusalOf } from './outcomes.ts';
import type { Choice, ReplicaStep, Step } from './program.ts';
import type { Replica } from './replica.ts';

/** Everybody who asks something of the replicas: tracks, operators, the loops' timers; and those who change the world. */
export interface Callers {
  /** Does what a step says; what it asks of a replica is under way then. */
  take(step: Step): void;
  /** How many calls ended in which way. */
  readonly outcomes: ReadonlyMap<string, number>;
}

/** Makes callers whose calls `recorder` notes. */
export function createCallers(
  cluster: Cluster,
  farSide: FarSide,
  recorder: Recorder,
  note: (line: string) => void,
): Callers {
  const outcomes = new Map<string, number>();
  const idOf = (choice: Choice) => `s${1 + (choice % Math.max(1, farSide.known))}`;

  const outcomeOf: OutcomeOf = async (op, ask) => {
    const outcome = await ask().catch(refusalOf);
    const name = `${op} ${outcome.type === 'refused' ? outcome.code : outcome.type}`;
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
    note(name);
    return outcome;
  };
  const holders = createHolders(recorder, outcomeOf);

  function operate(replica: Replica, op: OperatorCall['op'], sandboxId: string, endLease = false): void {
    const { releaseSandbox, retryDeletion, quarantineSandbox, restoreSandbox } = replica.core.useCases;
    const work = {
      release: releaseSandbox,
      retry_deletion: retryDeletion,
      restore: restoreSandbox,
      quarantine: (sandboxId: string, by: CallContext) =>
        quarantineSandbox({ sandboxId, reason: 'looked odd', endLease }, by),
    }[op];
    cluster.begin(replica, op, () =>
      recorder.record({ op, sandboxId }, (id) =>
        outcomeOf(op, async () => {
          await work(sandboxId, context(id, 'admin'));
          return DONE;
        }),
      ),
    );
  }

  function run(replica: Replica, what: string, work: (context: CallContext) => Promise<unknown>): void {
    cluster.begin(replica, what, () =>
      recorder.record({ op: 'run' }, (id) =>
        outcomeOf(what, async () => {
          await work(context(id, what));
          return DONE;
        }),
      ),
    );
  }

  function takeOn(replica: Replica, step: ReplicaStep): void {
    const { core, runs, process } = replica;
    switch (step.do) {
      case 'allocate':
      case 'allocate_several':
      case 'wait':
      case 'report':
      case 'extend':
      case 'heartbeat':
      case 'leave':
      case 'mark':
      case 'mark_all':
      case 'get':
        cluster.begin(replica, step.do, () => holders.ask(replica, step));
        break;
      case 'tend_line':
        run(replica, step.do, (by) => core.work.tendLine(by));
        break;
      case 'release':
      case 'retry_deletion':
      case 'restore':
        operate(replica, step.do, idOf(step.sandbox));
        break;
      case 'quarantine':
        operate(replica, step.do, idOf(step.sandbox), step.endsLease);
        break;
      case 'sync':
        run(replica, step.do, (by) => runs.sync({ force: step.force }, by));
        break;
      case 'cleanup':
        run(replica, step.do, (by) => runs.cleanup({}, by));
        break;
      case 'free_cooled':
        run(replica, step.do, (by) => core.work.freeCooled(by));
        break;
      case 'expire':
        run(replica, step.do, (by) => runs.expire({}, by));
        break;
      case 'purge':
        run(replica, step.do, (by) => runs.purge({ gracePeriodHours: step.hours }, by));
        break;
      case 'bulk_delete':
        run(replica, step.do, (by) => core.useCases.bulkDelete({ status: step.status }, by));
        break;
      case 'refresh':
        cluster.begin(replica, step.do, () => cluster.refresh(replica));
        break;
      case 'kill':
        process.kill();
        cluster.replace(process);
        break;
      case 'freeze':
        process.freeze(step.seconds * 1_000, step);
        break;
      case 'set_clock':
        replica.machine.jumpMs = step.hours * 3_600_000;
        break;
    }
  }

  return {
    outcomes,
    take(step) {
      if ('on' in step) {
        const replica = chosen(cluster.replicas, step.on);
        if (replica) takeOn(replica, step);
        return;
      }
      switch (step.do) {
        case 'add':
          farSide.add(step.name);
          break;
        case 'rename':
          farSide.rename(idOf(step.sandbox), step.name);
          break;
        case 'remove':
          farSide.remove(idOf(step.sandbox));
          break;
        case 'bring_back':
          farSide.bringBack();
          break;
        case 'outage':
          farSide.outage(step.how, step.seconds * 1_000);
          break;
        case 'pass':
          break;
      }
    },
  };
}
