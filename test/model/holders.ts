import { BrokerError, type ErrorCode } from '../../src/domain/errors.ts';
import type { GrantedLease } from '../../src/usecases/leases/lease-request.ts';
import type { ToldLease } from '../support/history/history.ts';
import type { Recorder } from '../support/history/recorder.ts';
import { chosen, context, DONE, type OutcomeOf } from './outcomes.ts';
import type { ReplicaStep } from './program.ts';
import type { Replica } from './replica.ts';

/** What a holder asks for. */
export type HolderStep = Extract<
  ReplicaStep,
  {
    do:
      | 'allocate'
      | 'allocate_several'
      | 'wait'
      | 'extend'
      | 'heartbeat'
      | 'report'
      | 'leave'
      | 'mark'
      | 'mark_all'
      | 'get';
  }
>;

export interface Holders {
  /** Asks a replica what a step says, and notes how that ended. */
  ask(replica: Replica, step: HolderStep): Promise<unknown>;
}

interface Known {
  sandboxId: string;
  leaseId: string;
  holder: string;
  key: string | undefined;
}

/** Those who lease sandboxes, and go by what they were told. */
export function createHolders(recorder: Recorder, outcomeOf: OutcomeOf): Holders {
  /** The leases that callers were told of. */
  const known: Known[] = [];
  /** The places that callers were told of. */
  const places: { ticket: string; holder: string }[] = [];

  /** A lease that a caller is told of, for the history. */
  function learn(lease: GrantedLease, { holder, key }: Pick<Known, 'holder' | 'key'>): ToldLease {
    const { sandboxId, leaseId, fencingToken, expiresAt, heartbeat } = lease;
    if (!known.some((each) => each.leaseId === leaseId)) known.push({ sandboxId, leaseId, holder, key });
    return { sandboxId, leaseId, fencingToken, expiresAt, heartbeatBy: heartbeat?.by };
  }

  /** Leases a sandbox, or finds out that there is none. */
  function allocate({ core }: Replica, step: Extract<HolderStep, { do: 'allocate' }>): Promise<unknown> {
    const { caller, input, asked } = questionOf(step);
    return recorder.record({ op: 'allocate', ...asked }, (id) =>
      outcomeOf('allocate', async () => {
        try {
          const {
            lease,
            replayed,
            leaseOver = false,
          } = await core.useCases.allocateSandbox(input, context(id, 'track'));
          return { type: 'leased', ...learn(lease, caller), replayed, leaseOver } as const;
        } catch (error) {
          if (isRefusal(error, 'NO_SANDBOXES_AVAILABLE')) return { type: 'none_free' } as const;
          throw error;
        }
      }),
    );
  }

  /** Leases several sandboxes together, or finds out that there are not as many. */
  function allocateSeveral(
    { core }: Replica,
    step: Extract<HolderStep, { do: 'allocate_several' }>,
  ): Promise<unknown> {
    const { count } = step;
    const { caller, input, asked } = questionOf(step);
    return recorder.record({ op: 'allocate', ...asked, count }, (id) =>
      outcomeOf(step.do, async () => {
        try {
          const { leases, replayed } = await core.useCases.allocateSeveral(
            { ...input, count },
            context(id, 'track'),
          );
          const told = leases.map(({ lease, leaseOver }) => ({ ...learn(lease, caller), leaseOver }));
          return { type: 'leased_several', leases: told, replayed } as const;
        } catch (error) {
          if (isRefusal(error, 'NO_SANDBOXES_AVAILABLE')) return { type: 'none_free' } as const;
          throw error;
        }
      }),
    );
  }

  /** Gives back all that the key of a lease has. */
  function markAll({ core }: Replica, step: Extract<HolderStep, { do: 'mark_all' }>): Promise<unknown> {
    const lease = chosen(known, step.lease);
    if (!lease) return Promise.resolve();
    const { holder, key } = lease;
    return recorder.record({ op: 'mark_all', holder, key }, (id) =>
      outcomeOf('mark_all', async () => {
        const input = { principal: 'tracks', holder, idempotencyKey: key };
        const marked = await core.useCases.markAll(input, context(id, 'track'));
        return { type: 'marked', sandboxIds: marked.map(({ sandboxId }) => sandboxId) } as const;
      }),
    );
  }

  /** Leases a sandbox, or has a place in the line. */
  function waitInLine({ core }: Replica, step: Extract<HolderStep, { do: 'wait' }>): Promise<unknown> {
    const { seconds, priority } = step;
    const { caller, input, asked } = questionOf(step);
    return recorder.record({ op: 'allocate', ...asked, waitSeconds: seconds, priority }, (id) =>
      outcomeOf('wait', async () => {
        const wait = { seconds, priority, gone: new AbortController().signal };
        const result = await core.useCases.allocateInLine(input, wait, context(id, 'track'));
        if ('ticket' in result) {
          places.push({ ticket: result.ticket, holder: caller.holder });
          return { type: 'in_line', ticket: result.ticket } as const;
        }
        const { lease, replayed, leaseOver = false } = result;
        return { type: 'leased', ...learn(lease, caller), replayed, leaseOver } as const;
      }),
    );
  }

  /** A holder finds its sandbox broken. What it gets instead is known from then on. */
  function report({ core }: Replica, step: Extract<HolderStep, { do: 'report' }>): Promise<unknown> {
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
        const told = replacement && learn(replacement.lease, { holder, key });
        return { type: 'reported', replacement: told } as const;
      }),
    );
  }

  /** A holder extends its lease, or gives a sign of life. */
  function keep(
    { core }: Replica,
    step: Extract<HolderStep, { do: 'extend' | 'heartbeat' }>,
  ): Promise<unknown> {
    const lease = chosen(known, step.lease);
    if (!lease) return Promise.resolve();
    const { sandboxId, holder, key } = lease;
    const claim = { sandboxId, holder, leaseId: step.byId ? lease.leaseId : undefined };
    const { extendLease, heartbeat } = core.useCases;
    const asked =
      step.do === 'extend'
        ? ({ op: step.do, ...claim, durationSeconds: step.seconds } as const)
        : ({ op: step.do, ...claim } as const);
    return recorder.record(asked, (id) =>
      outcomeOf(step.do, async () => {
        const by = context(id, 'track');
        const kept =
          step.do === 'extend'
            ? await extendLease({ ...claim, durationSeconds: step.seconds }, by)
            : await heartbeat(claim, by);
        return { type: 'kept', ...learn(kept, { holder, key }) } as const;
      }),
    );
  }

  function leave({ core }: Replica, step: Extract<HolderStep, { do: 'leave' }>): Promise<unknown> {
    const place = chosen(places, step.place);
    if (!place) return Promise.resolve();
    return recorder.record({ op: 'leave', ticket: place.ticket }, (id) =>
      outcomeOf('leave', async () => {
        await core.useCases.places.leave(place, context(id, 'track'));
        return DONE;
      }),
    );
  }

  /** Gives a sandbox back, as its holder or as somebody else, or looks at it. */
  function onLease({ core }: Replica, step: Extract<HolderStep, { do: 'mark' | 'get' }>): Promise<unknown> {
    const lease = chosen(known, step.lease);
    if (!lease) return Promise.resolve();
    const { sandboxId } = lease;
    const { markForDeletion, getSandbox } = core.useCases;
    const holder = step.do === 'mark' && step.byOther ? 'h-other' : lease.holder;
    const asked = { holder, sandboxId };
    if (step.do === 'mark') {
      return recorder.record({ op: 'mark', ...asked }, (id) =>
        outcomeOf('mark', async () => {
          await markForDeletion(asked, context(id, 'track'));
          return DONE;
        }),
      );
    }
    return recorder.record({ op: 'get', ...asked }, (id) =>
      outcomeOf('get', async () => {
        const { status } = await getSandbox(asked, context(id, 'track'));
        return { type: 'shown', status } as const;
      }),
    );
  }

  return {
    ask(replica, step) {
      switch (step.do) {
        case 'allocate':
          return allocate(replica, step);
        case 'allocate_several':
          return allocateSeveral(replica, step);
        case 'wait':
          return waitInLine(replica, step);
        case 'report':
          return report(replica, step);
        case 'extend':
        case 'heartbeat':
          return keep(replica, step);
        case 'leave':
          return leave(replica, step);
        case 'mark_all':
          return markAll(replica, step);
        case 'mark':
        case 'get':
          return onLease(replica, step);
      }
    },
  };
}

/** Who asks for a lease: as it is put to a replica, and noted. */
function questionOf(step: Extract<HolderStep, { do: 'allocate' | 'allocate_several' | 'wait' }>) {
  const caller = { holder: `h${step.holder}`, key: step.key === undefined ? undefined : `key-${step.key}` };
  const namePrefix = step.do === 'allocate_several' ? undefined : step.prefix;
  const { durationSeconds, heartbeatSeconds } = step;
  const terms = { namePrefix, durationSeconds, heartbeatSeconds };
  return {
    caller,
    input: { principal: 'tracks', holder: caller.holder, idempotencyKey: caller.key, ...terms },
    asked: { ...caller, ...terms },
  };
}

const isRefusal = (error: unknown, code: ErrorCode): boolean =>
  error instanceof BrokerError && error.code === code;
