import { BrokerError, type ErrorCode } from '../../src/domain/errors.ts';
import type { Recorder } from '../support/history/recorder.ts';
import { chosen, context, DONE, type OutcomeOf } from './outcomes.ts';
import type { Choice, ReplicaStep } from './program.ts';
import type { Replica } from './replica.ts';

/** What a holder asks for. */
export type HolderStep = Extract<
  ReplicaStep,
  { do: 'allocate' | 'allocate_several' | 'wait' | 'report' | 'leave' | 'mark' | 'mark_all' | 'get' }
>;

export interface Holders {
  /** Asks a replica what a step says, and notes how that ended. */
  ask(replica: Replica, step: HolderStep): Promise<unknown>;
}

/** Those who lease sandboxes, and go by what they were told. */
export function createHolders(recorder: Recorder, outcomeOf: OutcomeOf): Holders {
  /** The leases that callers were told of. */
  const known: { sandboxId: string; holder: string; key: string | undefined }[] = [];
  /** The places that callers were told of. */
  const places: { ticket: string; holder: string }[] = [];

  /** Leases a sandbox, or finds out that there is none. */
  function allocate({ core }: Replica, step: Extract<HolderStep, { do: 'allocate' }>): Promise<unknown> {
    const { holder, key } = callerOf(step);
    const namePrefix = step.prefix;
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

  /** Leases several sandboxes together, or finds out that there are not as many. */
  function allocateSeveral(
    { core }: Replica,
    step: Extract<HolderStep, { do: 'allocate_several' }>,
  ): Promise<unknown> {
    const { count } = step;
    const { holder, key } = callerOf(step);
    return recorder.record({ op: 'allocate', holder, key, count }, (id) =>
      outcomeOf(step.do, async () => {
        try {
          const input = { principal: 'tracks', holder, idempotencyKey: key, count };
          const { leases, replayed } = await core.useCases.allocateSeveral(input, context(id, 'track'));
          const told = leases.map(({ lease, leaseOver }) => ({ sandboxId: lease.sandboxId, leaseOver }));
          known.push(...told.map(({ sandboxId }) => ({ sandboxId, holder, key })));
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
    const { holder, key } = callerOf(step);
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
        const replacementId = replacement?.lease.sandboxId;
        if (replacementId !== undefined) known.push({ sandboxId: replacementId, holder, key });
        return { type: 'reported', replacementId } as const;
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

const callerOf = ({ holder, key }: { holder: Choice; key?: Choice | undefined }) => ({
  holder: `h${holder}`,
  key: key === undefined ? undefined : `key-${key}`,
});

const isRefusal = (error: unknown, code: ErrorCode): boolean =>
  error instanceof BrokerError && error.code === code;
