import { BrokerError, type ErrorCode } from '../../src/domain/errors.ts';
import type { CallContext } from '../../src/usecases/context.ts';
import type { AllocateCall, Call, OperatorCall, Refused, Unknown } from '../support/history/history.ts';
import type { Recorder } from '../support/history/recorder.ts';
import { type Cluster, OPEN_ENDS } from './cluster.ts';
import type { FarSide } from './far-side.ts';
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
  /** The leases that callers were told of. */
  const known: { sandboxId: string; holder: string; key: string | undefined }[] = [];
  /** The places that callers were told of. */
  const places: { ticket: string; holder: string }[] = [];

  const chosen = <T>(list: readonly T[], choice: Choice): T | undefined => list[choice % list.length];
  const idOf = (choice: Choice) => `s${1 + (choice % Math.max(1, farSide.known))}`;

  /** What `ask` came to, by way of how its error reads; counted. */
  async function outcomeOf<Answer extends Call['outcome']>(
    op: string,
    ask: () => Promise<Answer>,
  ): Promise<Answer | Refused | Unknown> {
    const outcome = await ask().catch(refusalOf);
    const name = `${op} ${outcome.type === 'refused' ? outcome.code : outcome.type}`;
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
    note(name);
    return outcome;
  }

  /** Leases a sandbox, or finds out that there is none. */
  function allocate(
    { core }: Replica,
    { holder, key, namePrefix }: Pick<AllocateCall, 'holder' | 'key' | 'namePrefix'>,
  ): Promise<unknown> {
    return recorder.record({ op: 'allocate', holder, key, namePrefix }, (id) =>
      outcomeOf('allocate', async () => {
        try {
          const input = { principal: 'tracks', holder, idempotencyKey: key, namePrefix };
          const {
            lease,
            replayed,
            leaseOver = false,
          } = await core.useCases.allocateSandbox(input, context(id, 'track'));
          known.push({ sandboxId: lease.sandboxId, holder, key });
          return { type: 'leased', sandboxId: lease.sandboxId, replayed, leaseOver } as const;
        } catch (error) {
          if (isRefusal(error, 'NO_SANDBOXES_AVAILABLE')) return { type: 'none_free' } as const;
          throw error;
        }
      }),
    );
  }

  /** Leases a sandbox, or has a place in the line. */
  function waitInLine({ core }: Replica, step: Extract<ReplicaStep, { do: 'wait' }>): Promise<unknown> {
    const { seconds, priority } = step;
    const holder = `h${step.holder}`;
    const key = step.key === undefined ? undefined : `key-${step.key}`;
    const asked = { holder, key, namePrefix: step.prefix, waitSeconds: seconds, priority };
    return recorder.record({ op: 'allocate', ...asked }, (id) =>
      outcomeOf('wait', async () => {
        const input = { principal: 'tracks', holder, idempotencyKey: key, namePrefix: step.prefix };
        const wait = { seconds, priority, gone: new AbortController().signal };
        const result = await core.useCases.allocateInLine(input, wait, context(id, 'track'));
        if ('ticket' in result) {
          places.push({ ticket: result.ticket, holder });
          return { type: 'in_line', ticket: result.ticket } as const;
        }
        const { lease, replayed, leaseOver = false } = result;
        known.push({ sandboxId: lease.sandboxId, holder, key });
        return { type: 'leased', sandboxId: lease.sandboxId, replayed, leaseOver } as const;
      }),
    );
  }

  /** A holder finds its sandbox broken. What it gets instead is known from then on. */
  function report({ core }: Replica, step: Extract<ReplicaStep, { do: 'report' }>): Promise<unknown> {
    const lease = chosen(known, step.lease);
    if (!lease) return Promise.resolve();
    const { sandboxId, holder, key } = lease;
    const asked = { holder, sandboxId, key, replaces: step.replaces };
    return recorder.record({ op: 'report', ...asked }, (id) =>
      outcomeOf('report', async () => {
        const input = { sandboxId, holder, reason: 'no disk', replace: step.replaces };
        const { replacement } = await core.useCases.reportSandbox(input, context(id, 'track'));
        if (replacement?.type === 'waiting') {
          places.push({ ticket: replacement.inLine.ticket, holder });
          return { type: 'reported', ticket: replacement.inLine.ticket } as const;
        }
        const replacementId = replacement?.lease.sandboxId;
        if (replacementId !== undefined) known.push({ sandboxId: replacementId, holder, key });
        return { type: 'reported', replacementId } as const;
      }),
    );
  }

  function leave({ core }: Replica, step: Extract<ReplicaStep, { do: 'leave' }>): Promise<unknown> {
    const place = chosen(places, step.place);
    if (!place) return Promise.resolve();
    return recorder.record({ op: 'leave', ticket: place.ticket }, (id) =>
      outcomeOf('leave', async () => {
        await core.useCases.places.leave(place, context(id, 'track'));
        return DONE;
      }),
    );
  }

  /** Asks on behalf of the holder of a lease that callers were told of. */
  function askAsHolder(replica: Replica, step: Extract<ReplicaStep, { do: 'mark' | 'get' }>): void {
    const lease = chosen(known, step.lease);
    if (!lease) return;
    const { sandboxId } = lease;
    const { markForDeletion, getSandbox } = replica.core.useCases;
    const holder = step.do === 'mark' && step.byOther ? 'h-other' : lease.holder;
    const asked = { holder, sandboxId };
    const mark = () =>
      recorder.record({ op: 'mark', ...asked }, (id) =>
        outcomeOf('mark', async () => {
          await markForDeletion(asked, context(id, 'track'));
          return DONE;
        }),
      );
    const get = () =>
      recorder.record({ op: 'get', ...asked }, (id) =>
        outcomeOf('get', async () => {
          const { status } = await getSandbox(asked, context(id, 'track'));
          return { type: 'shown', status } as const;
        }),
      );
    cluster.begin(replica, step.do, step.do === 'mark' ? mark : get);
  }

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
      case 'allocate': {
        const key = step.key === undefined ? undefined : `key-${step.key}`;
        const asked = { holder: `h${step.holder}`, key, namePrefix: step.prefix };
        cluster.begin(replica, step.do, () => allocate(replica, asked));
        break;
      }
      case 'wait':
        cluster.begin(replica, step.do, () => waitInLine(replica, step));
        break;
      case 'report':
        cluster.begin(replica, step.do, () => report(replica, step));
        break;
      case 'leave':
        cluster.begin(replica, step.do, () => leave(replica, step));
        break;
      case 'tend_line':
        run(replica, step.do, (by) => core.work.tendLine(by));
        break;
      case 'mark':
      case 'get':
        askAsHolder(replica, step);
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

const DONE = { type: 'done' } as const;

const isRefusal = (error: unknown, code: ErrorCode): boolean =>
  error instanceof BrokerError && error.code === code;

/** Any other error than a broker's own is a finding, and is thrown on. */
function refusalOf(error: unknown): Refused | Unknown {
  if (!(error instanceof BrokerError)) throw error;
  return OPEN_ENDS.has(error.code) ? { type: 'unknown' } : { type: 'refused', code: error.code };
}

const context = (id: string, actor: string): CallContext => ({
  actor,
  requestId: id,
  correlationId: id,
  signal: new AbortController().signal,
});
