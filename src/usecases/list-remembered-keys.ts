import type { RememberedKey } from '../domain/resilience/kept-answer.ts';
import type { RememberedKeys } from '../store/shared/remembered-keys.ts';
import type { CallContext } from './context.ts';
import { cursorAfter, placeOf } from './walk-cursor.ts';

export interface ListRememberedKeysInput {
  kind?: RememberedKey['kind'] | undefined;
  /** >= 1. */
  limit: number;
  /** From the previous page of the same query. */
  cursor?: string | undefined;
}

/** One page, in no order. It may be short and still have a `cursor`. Throws `INVALID_CURSOR`, `STORE_UNAVAILABLE`. */
export type ListRememberedKeys = (
  input: ListRememberedKeysInput,
  context: CallContext,
) => Promise<{ keys: RememberedKey[]; cursor?: string | undefined }>;

export function listRememberedKeys({ keys: store }: { keys: RememberedKeys }): ListRememberedKeys {
  return async ({ kind, limit, cursor }, { signal }) => {
    const query = ['idempotency', kind] as const;
    const after = placeOf(cursor, 'idempotency', query);
    const page = await store.list({ kind, limit, after }, signal);
    return { keys: page.keys, cursor: cursorAfter(page.after, 'idempotency', query) };
  };
}
