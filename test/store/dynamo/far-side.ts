import { createGroupCommit, type Readiness, type Verdict } from '../../../src/store/dynamo/group-commit.ts';

interface Piece {
  id: string;
  touches?: string;
}

export class EverybodyFails extends Error {}

/** A far side that answers when it is told to, call by call. */
export function farSide({
  calls = 2,
  callsWhereLate,
  size = 4,
}: {
  calls?: number;
  callsWhereLate?: number;
  size?: number;
} = {}) {
  const sent: { ids: string[]; signal: AbortSignal; answer(outcome: Verdict<string>[] | Error): void }[] = [];
  /** What holds some pieces back, by their ids. */
  const readiness = new Map<string, Readiness<string>>();
  const commit = createGroupCommit<Piece, string>({
    calls,
    ...(callsWhereLate !== undefined && { callsWhereLate }),
    size,
    touches: ({ id, touches }) => [touches ?? id],
    readiness: ({ id }) => readiness.get(id) ?? { waitMs: 0 },
    concernsAll: (error) => error instanceof EverybodyFails,
    send(pieces, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<Verdict<string>[]>();
      const answer = (outcome: Verdict<string>[] | Error) =>
        outcome instanceof Error ? reject(outcome) : resolve(outcome);
      sent.push({ ids: pieces.map(({ id }) => id), signal, answer });
      return promise;
    },
  });
  const add = (
    id: string,
    { touches, signal = new AbortController().signal }: Partial<Piece> & { signal?: AbortSignal } = {},
  ) => commit({ id, ...(touches !== undefined && { touches }) }, signal);
  const ids = () => sent.map((call) => call.ids);
  /** The call of this number does what it was asked to. */
  const succeed = (number: number) =>
    sent[number]?.answer(sent[number].ids.map((id) => ({ result: `done ${id}` })));
  return { add, ids, sent, succeed, readiness };
}

/** Lets all run that waits for nothing but its turn. */
export const settled = () => new Promise(setImmediate);
