import { BrokerError } from '../domain/errors.ts';
import type { EffectRecord, EffectState } from '../domain/resilience/effect.ts';
import { type EffectKey, effectKeyPrefix, parseEffectKey } from '../safety/index.ts';
import type { EffectReads } from '../store/shared/effect-reads.ts';
import type { CallContext } from './context.ts';
import { cursorAfter, placeOf } from './walk-cursor.ts';

/** A side effect that must happen once, and what is known of it. */
export interface KnownEffect extends EffectKey, Omit<EffectRecord, 'pk'> {
  /** Its key, as it may stand in an address. */
  id: string;
}

export interface ListEffectsInput {
  state?: EffectState | undefined;
  /** Only of this type. */
  type?: string | undefined;
  /** >= 1. */
  limit: number;
  /** From the previous page of the same query. */
  cursor?: string | undefined;
}

/** One page, in no order. It may be short and still have a `cursor`. Throws `INVALID_CURSOR`, `STORE_UNAVAILABLE`. */
export type ListEffects = (
  input: ListEffectsInput,
  context: CallContext,
) => Promise<{ effects: KnownEffect[]; cursor?: string | undefined }>;

/** Throws `EFFECT_NOT_FOUND`, `STORE_UNAVAILABLE`. */
export type GetEffect = (id: string, context: CallContext) => Promise<KnownEffect>;

const known = ({ pk, ...record }: EffectRecord): KnownEffect => ({
  id: Buffer.from(pk).toString('base64url'),
  ...parseEffectKey(pk),
  ...record,
});

export function listEffects({ effects: store }: { effects: Pick<EffectReads, 'list'> }): ListEffects {
  return async ({ state, type, limit, cursor }, { signal }) => {
    const query = ['effects', state, type] as const;
    const after = placeOf(cursor, 'effects', query);
    const page = await store.list({ pkPrefix: effectKeyPrefix(type), state, limit, after }, signal);
    return { effects: page.effects.map(known), cursor: cursorAfter(page.after, 'effects', query) };
  };
}

export function getEffect({ effects }: { effects: Pick<EffectReads, 'get'> }): GetEffect {
  return async (id, { signal }) => {
    const pk = Buffer.from(id, 'base64url').toString();
    const record = pk.startsWith(effectKeyPrefix()) ? await effects.get(pk, signal) : undefined;
    if (record === undefined) {
      throw new BrokerError('EFFECT_NOT_FOUND', 'Nothing is known of such an effect (any more).');
    }
    return known(record);
  };
}
