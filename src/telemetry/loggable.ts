/** How far down values are looked at; what lies deeper is cut off, so that nothing gets through unseen. */
const MAX_DEPTH = 5;
const MAX_CAUSES = 4;
export const MASK = '[redacted]';
const CUT = '[too deep]';

const SECRET_NAME = /token|secret|password|passwd|authorization|cookie|credential|api-?_?key/i;

/**
 * A value as it may stand in a log line: strings and objects under a name that promises a secret are masked, errors are
 * reduced to what is written about them here. Numbers and booleans stay: a count of tokens is no secret. An instance of
 * a class right under a field's name is left to the logger's serializer for that name, further down it is only named.
 */
export function toLoggable(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return describeError(value, depth);
  if (depth >= MAX_DEPTH) return CUT;
  if (Array.isArray(value)) return value.map((entry) => toLoggable(entry, depth + 1));
  if (!isPlain(value)) return depth <= 1 || 'toJSON' in value ? value : `[${value.constructor.name}]`;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [
      name,
      SECRET_NAME.test(name) && isMaskable(entry) ? MASK : toLoggable(entry, depth + 1),
    ]),
  );
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

const isMaskable = (value: unknown): boolean =>
  typeof value === 'string' || (typeof value === 'object' && value !== null);

/**
 * Only what explains an error. Drivers hang whole requests, bodies and headers on theirs, and those have no business
 * in a log.
 */
function describeError(error: Error, depth: number): Record<string, unknown> {
  const { code, kind, status } = error as { code?: unknown; kind?: unknown; status?: unknown };
  const described: Record<string, unknown> = { type: error.name, message: error.message };
  for (const [name, value] of Object.entries({ code, kind, status })) {
    if (typeof value === 'string' || typeof value === 'number') described[name] = value;
  }
  described.stack = error.stack;
  if (error.cause !== undefined) {
    described.cause = depth >= MAX_CAUSES ? CUT : describeCause(error.cause, depth + 1);
  }
  if (error instanceof AggregateError) {
    described.errors = error.errors.slice(0, MAX_CAUSES).map((entry) => describeCause(entry, depth + 1));
  }
  return described;
}

/** A cause may be anything that can be thrown; an object that is no error is only named. */
function describeCause(cause: unknown, depth: number): unknown {
  if (cause instanceof Error) return depth > MAX_CAUSES ? CUT : describeError(cause, depth);
  return typeof cause === 'object' && cause !== null ? Object.prototype.toString.call(cause) : cause;
}
