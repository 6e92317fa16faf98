import { BrokerError } from '../../../src/domain/errors.ts';
import type { Provider } from '../../../src/provider/provider.ts';
import type { CallContext } from '../../../src/usecases/context.ts';
import { context, type TestCore } from '../broker/core.ts';
import type {
  AllocateCall,
  Done,
  MarkCall,
  OperatorCall,
  ProviderDelete,
  Refused,
  RunCall,
  Unknown,
} from './history.ts';
import type { Recorder } from './recorder.ts';

/** A replica in this process, whose calls are recorded. Errors are outcomes; what is no error of the broker's throws. */
export interface RecordedCore {
  allocate(asked: Pick<AllocateCall, 'holder' | 'key' | 'namePrefix'>): Promise<AllocateCall['outcome']>;
  mark(holder: string, sandboxId: string): Promise<MarkCall['outcome']>;
  release(sandboxId: string): Promise<OperatorCall['outcome']>;
  run(work: 'sync' | 'cleanup' | 'expire'): Promise<RunCall['outcome']>;
}

/** Errors after which it may have happened all the same. */
const IN_DOUBT = ['STORE_UNAVAILABLE', 'BUSY', 'INTERNAL'];

export function recordCore({ useCases, work }: TestCore, recorder: Recorder): RecordedCore {
  const as = (actor: string, id: string): CallContext => ({ ...context(actor), correlationId: id });
  const done = async (call: Promise<unknown>): Promise<Done | Refused | Unknown> => {
    try {
      await call;
      return { type: 'done' };
    } catch (error) {
      return refusalOf(error);
    }
  };
  return {
    allocate: (asked) =>
      recorder.record({ op: 'allocate', ...asked }, async (id) => {
        const { key, ...input } = asked;
        try {
          const {
            lease,
            replayed,
            leaseOver = false,
          } = await useCases.allocateSandbox(
            { principal: 'tracks', ...input, idempotencyKey: key },
            as('track', id),
          );
          return { type: 'leased', sandboxId: lease.sandboxId, replayed, leaseOver };
        } catch (error) {
          const refusal = refusalOf(error);
          const isNoneFree = refusal.type === 'refused' && refusal.code === 'NO_SANDBOXES_AVAILABLE';
          return isNoneFree ? { type: 'none_free' } : refusal;
        }
      }),
    mark: (holder, sandboxId) =>
      recorder.record({ op: 'mark', holder, sandboxId }, (id) =>
        done(useCases.markForDeletion({ holder, sandboxId }, as('track', id))),
      ),
    release: (sandboxId) =>
      recorder.record({ op: 'release', sandboxId }, (id) =>
        done(useCases.releaseSandbox(sandboxId, as('admin', id))),
      ),
    run: (name) =>
      recorder.record({ op: 'run' }, (id) =>
        done(name === 'sync' ? work.sync({ force: false }, as(name, id)) : work[name](as(name, id))),
      ),
  };
}

function refusalOf(error: unknown): Refused | Unknown {
  if (!(error instanceof BrokerError)) throw error;
  return IN_DOUBT.includes(error.code) ? { type: 'unknown' } : { type: 'refused', code: error.code };
}

/** The provider, each of whose deletes is noted when it has had its effect. */
export function recordDeletes<P extends Provider>(
  provider: P,
  deletes: ProviderDelete[],
  now: () => number,
): P {
  return {
    ...provider,
    async deleteSandbox(...[sandbox, ...rest]: Parameters<Provider['deleteSandbox']>) {
      const note = (outcome: ProviderDelete['outcome'], recycled = false) =>
        deletes.push({ sandboxId: sandbox.sandboxId, atMs: now(), outcome, told: true, recycled });
      try {
        const outcome = await provider.deleteSandbox(sandbox, ...rest);
        note(outcome === 'already_gone' ? 'missed' : 'deleted', outcome === 'recycled');
        return outcome;
      } catch (error) {
        note('failed');
        throw error;
      }
    },
  };
}
