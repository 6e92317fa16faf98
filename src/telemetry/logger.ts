import { type DestinationStream, type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { pause } from '../time-limit.ts';
import { currentCorrelation } from './correlation.ts';
import { MASK, toLoggable } from './loggable.ts';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** One of pino's level names; `info` unless given. */
  level?: string;
  /** Readable lines instead of JSON: for a terminal. */
  pretty?: boolean;
  /** Colours in readable lines; none by default. */
  colours?: boolean;
  /** Where the lines go; standard output unless given. */
  destination?: DestinationStream;
  /** Values that are masked wherever they turn up in a line. */
  secrets?: readonly string[];
}

type Fields = Record<string, unknown>;
/** Bindings are kept as an object and merged with each line's fields: pino's text of them could not be overridden. */
const BINDINGS = Symbol('bindings');
type Bound = Logger & { [BINDINGS]?: Fields | undefined };

/** Masking shorter values would tear up words and numbers that have nothing to do with them. */
const SHORTEST_SECRET = 6;

/**
 * What JSON leaves as it is, but some take for the end of a line (NEL, U+2028, U+2029), for an order to the terminal (C1),
 * or for a change of the direction of writing.
 */
const DISORDERLY = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/**
 * A logger of one JSON object per line: `level`, `time` (ISO 8601), the caller's fields, `request_id` and
 * `correlation_id` of the request or run at work, `msg`; no key twice. Secrets are masked by name and by value.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const { level = 'info', pretty = false, destination = pino.destination(1) } = options;
  const format = prettyFactory({ colorize: options.colours ?? false, singleLine: true });
  const stream = pretty
    ? { ...destination, write: (line: string) => void destination.write(format(line)) }
    : destination;
  const secrets = (options.secrets ?? [])
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .map((secret) => JSON.stringify(secret).slice(1, -1));

  const logger: Bound = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Errors are described where fields are merged; pino's own serializer would copy a driver's junk along.
      serializers: { err: (described: unknown) => described },
      mixin: (_fields, _level, from: Bound) => from[BINDINGS] ?? {},
      mixinMergeStrategy: (fields, bindings) => mergeFields(bindings as Fields, fields as Fields),
      hooks: {
        logMethod(args, method) {
          method.apply(this, withoutSecondMessage(args));
        },
        streamWrite: (line) =>
          secrets
            .reduce((masked, secret) => masked.replaceAll(secret, MASK), line)
            .replace(DISORDERLY, escaped),
      },
    },
    stream,
  );
  return keepBindingsApart(logger);
}

const FLUSH_WITHIN_MS = 1_000;

/**
 * Resolves when every line written so far has left the process, or nobody has read them in time. What cannot be written
 * cannot be reported either, and a pipe refuses the sync to disk that ends a flush: so an error is no reason to hold up
 * the shutdown.
 */
export async function flushLogs(logger: Logger): Promise<void> {
  const flushed = new AbortController();
  logger.flush(() => flushed.abort());
  await pause(FLUSH_WITHIN_MS, flushed.signal);
}

/** `time` and `level` are pino's to write, and the ids are those of the request at work, whatever a caller says. */
function mergeFields(bindings: Fields, fields: Fields): Fields {
  const { msg: _, ...bound } = bindings;
  const { time: _time, level: _level, ...rest } = { ...bound, ...fields };
  const ids = currentCorrelation();
  return {
    ...(toLoggable(rest) as Fields),
    ...(ids && { request_id: ids.requestId, correlation_id: ids.correlationId }),
  };
}

type LogArguments = Parameters<Logger['info']>;

/** A line has one message: the one that was passed as such. */
function withoutSecondMessage(args: LogArguments): LogArguments {
  const [fields, message, ...rest] = args as unknown[];
  const isObject = typeof fields === 'object' && fields !== null && !(fields instanceof Error);
  if (message === undefined || !isObject || !('msg' in fields)) return args;
  return [{ ...fields, msg: undefined }, message, ...rest] as unknown as LogArguments;
}

function keepBindingsApart(logger: Bound): Logger {
  const createChild = logger.child;
  const child = function (this: Bound, bindings: Fields, options?: object) {
    const made = createChild.call(this, {}, options);
    return Object.assign(made, { [BINDINGS]: { ...this[BINDINGS], ...bindings } });
  };
  return Object.assign(logger, {
    child,
    bindings(this: Bound) {
      return { ...this[BINDINGS] };
    },
    setBindings(this: Bound, bindings: Fields) {
      this[BINDINGS] = { ...this[BINDINGS], ...bindings };
    },
  });
}
