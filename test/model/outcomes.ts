import { BrokerError } from '../../src/domain/errors.ts';
import type { CallContext } from '../../src/usecases/context.ts';
import type { Call, Refused, Unknown } from '../support/history/history.ts';
import { OPEN_ENDS } from './cluster.ts';
import type { Choice } from './program.ts';

/** What `ask` came to, by way of how its error reads; counted by `op`. */
export type OutcomeOf = <Answer extends Call['outcome']>(
  op: string,
  ask: () => Promise<Answer>,
) => Promise<Answer | Refused | Unknown>;

/** One of a list; undefined: it is empty. */
export const chosen = <T>(list: readonly T[], choice: Choice): T | undefined => list[choice % list.length];

export const DONE = { type: 'done' } as const;

/** Any other error than a broker's own is a finding, and is thrown on. */
export function refusalOf(error: unknown): Refused | Unknown {
  if (!(error instanceof BrokerError)) throw error;
  return OPEN_ENDS.has(error.code) ? { type: 'unknown' } : { type: 'refused', code: error.code };
}

export const context = (id: string, actor: string): CallContext => ({
  actor,
  requestId: id,
  correlationId: id,
  signal: new AbortController().signal,
});
