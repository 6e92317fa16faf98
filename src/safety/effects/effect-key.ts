/** What names an effect: the kind of thing done, to what, and which time it is done to it. */
export interface EffectKey<T extends string = string> {
  type: T;
  /** Any JSON value; objects with the same content are the same entity, whatever the order of their keys. */
  entity: unknown;
  /** A whole number >= 0 that differs for every legitimate repetition, such as the generation of the record. */
  generation: number;
}

/**
 * The key's text, `effect:{type}:{entity}:{generation}`. Type and entity stand as canonical JSON (sorted keys, no
 * spaces), so that `1` and `"1"` differ, and escaped, so that no part can reach into the next.
 * Throws `RangeError` without a generation, `TypeError` for what is no JSON.
 */
export function effectKey({ type, entity, generation }: EffectKey): string {
  if (!Number.isSafeInteger(generation) || generation < 0) {
    throw new RangeError(`an effect's generation must be a whole number >= 0, not ${generation}`);
  }
  return `effect:${escapePart(type)}:${escapePart(entity)}:${generation}`;
}

/** How the keys of a type begin; of all types without one. */
export const effectKeyPrefix = (type?: string): string =>
  type === undefined ? 'effect:' : `effect:${escapePart(type)}:`;

/** What a key's text names. Throws `SyntaxError` or `URIError` for a text that no key has. */
export function parseEffectKey(text: string): EffectKey {
  const [, type = '', entity = '', generation] = text.split(':');
  return { type: String(readPart(type)), entity: readPart(entity), generation: Number(generation) };
}

const readPart = (text: string): unknown => JSON.parse(decodeURIComponent(text));

const escapePart = (value: unknown): string => encodeURIComponent(canonicalJson(value));

/** JSON with sorted keys and no spaces. Throws `TypeError` for what JSON cannot say or would say as something else. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([name, part]) => `${JSON.stringify(name)}:${canonicalJson(part)}`).join(',')}}`;
  }
  throw new TypeError(`not a JSON value: ${typeof value}`);
}
