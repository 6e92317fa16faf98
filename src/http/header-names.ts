/** The request headers that mean something to the broker, as they are written in documents and error messages. */
const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  'Host',
  'Idempotency-Key',
  'Prefer',
  'X-Correlation-ID',
  'X-Instruqt-Sandbox-ID',
  'X-Instruqt-Track-ID',
  'X-Sandbox-Name-Prefix',
  'X-Track-ID',
] as const;

const BY_LOWER_CASE: ReadonlyMap<string, string> = new Map(
  REQUEST_HEADERS.map((name) => [name.toLowerCase(), name]),
);

const REPEATABLE: ReadonlySet<string> = new Set(['X-Correlation-ID', 'Prefer']);

/** A header's usual spelling; names the broker does not know come back as they are. */
export function headerName(name: string): string {
  return BY_LOWER_CASE.get(name.toLowerCase()) ?? name;
}

/**
 * The first header that is there twice though it must have one value. Node keeps the first of some and joins others
 * with a comma: either way a proxy in front may have decided by another one than we would. A correlation id is none of
 * them: a strange one is replaced, not refused. Preferences are a list by their nature (RFC 7240).
 */
export function repeatedHeader(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>();
  // rawHeaders is name, value, name, value, …
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = BY_LOWER_CASE.get(rawHeaders[index]?.toLowerCase() ?? '');
    if (name === undefined || REPEATABLE.has(name)) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}
