import { MASK, toLoggable } from '../telemetry/loggable.ts';

const MAX_TEXT = 200;
const MAX_ENTRIES = 20;
/** Masking shorter values would tear up words that have nothing to do with them. */
const SHORTEST_SECRET = 6;
const URL_CREDENTIALS = /\/\/[^/\s@]+@/g;
const BEARER = /\b(bearer|basic|token)\s+[\w.~+/=-]{6,}/gi;

/** The arguments of a call as they may be kept and shown: masked, and cut to a size that does not depend on the caller. */
export type Redact = (args: Readonly<Record<string, unknown>>) => Record<string, unknown>;

/**
 * Masks what stands under a secret's name, the given `secrets` wherever they turn up, and credentials inside texts; cuts
 * long texts and lists.
 */
export function redaction(secrets: readonly string[] = []): Redact {
  const known = secrets.filter((secret) => secret.length >= SHORTEST_SECRET);

  const text = (value: string): string => {
    const masked = known
      .reduce((rest, secret) => rest.replaceAll(secret, MASK), value)
      .replace(URL_CREDENTIALS, `//${MASK}@`)
      .replace(BEARER, `$1 ${MASK}`);
    return masked.length > MAX_TEXT ? `${masked.slice(0, MAX_TEXT)}…` : masked;
  };
  const cut = (value: unknown): unknown => {
    switch (typeof value) {
      case 'string':
        return text(value);
      case 'number':
      case 'boolean':
      case 'undefined':
        return value;
      case 'object':
        if (value === null) return null;
        if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map(cut);
        return record(value);
      default:
        return `[${typeof value}]`;
    }
  };
  const record = (value: object): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(value)
        .slice(0, MAX_ENTRIES)
        .map(([name, entry]) => [text(name), cut(entry)]),
    );

  return (args) => record(toLoggable(args) as object);
}
