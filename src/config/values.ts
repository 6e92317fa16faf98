import { isIP } from 'node:net';
import { z } from 'zod';

/** What is known of a variable beside its schema: the start-up message and `.env.example` are made of it. */
export interface VariableFacts {
  /** What it does, for the comment above it in `.env.example`. */
  about: string;
  /** Completes the sentence "it must be …". */
  allowed: string;
  /** The text that stands for an unset variable; empty where unset means something of its own. */
  fallback: string;
  /** A secret's value is never shown, not even a wrong one. */
  secret: boolean;
}

export const FACTS = z.registry<VariableFacts>();

type TextSchema = z.ZodType<unknown, string>;

/** A kind of value: how its text is read, and in words what is allowed. */
interface Kind<S extends TextSchema> {
  schema: S;
  allowed: string;
  secret?: boolean;
}

/** A variable that has a default. */
export function variable<S extends TextSchema>(kind: Kind<S>, fallback: string, about: string) {
  const schema = z.string().prefault(fallback).pipe(kind.schema);
  FACTS.add(schema, { about, allowed: kind.allowed, fallback, secret: kind.secret ?? false });
  return schema;
}

/** A variable that means something of its own when it is absent. */
export function optional<S extends TextSchema>(kind: Kind<S>, about: string) {
  const schema = z.string().pipe(kind.schema).optional();
  FACTS.add(schema, { about, allowed: kind.allowed, fallback: '', secret: kind.secret ?? false });
  return schema;
}

export const whole = (min: number, max: number) => ({
  schema: z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(min).max(max)),
  allowed: `a whole number from ${min} to ${max}`,
});

export const fraction = (min: number, max: number) => ({
  schema: z
    .string()
    .regex(/^(\d+\.?\d*|\.\d+)$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max)),
  allowed: `a number from ${min} to ${max}, fractions allowed`,
});

export const powerOfTwo = (max: number) => {
  const { schema } = whole(1, max);
  return {
    schema: schema.refine((value) => Number.isInteger(Math.log2(value))),
    allowed: `a power of two from 1 to ${max}`,
  };
};

export const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) => ({
  schema: z.string().pipe(z.enum(values)),
  allowed: `one of ${values.join(', ')}`,
});

export const matching = (pattern: RegExp, allowed: string) => ({
  schema: z.string().regex(pattern),
  allowed,
});

const SWITCH: Record<string, boolean> = { true: true, on: true, 1: true, false: false, off: false, 0: false };

export const onOff = {
  schema: z.string().transform((text, issues) => {
    const value = SWITCH[text.toLowerCase()];
    if (value === undefined) issues.addIssue('not a switch');
    return value ?? false;
  }),
  allowed: 'true or false (on/off and 1/0 work too)',
};

const splitList = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const listOf = (isEntry: (entry: string) => boolean) =>
  z
    .string()
    .transform(splitList)
    .refine((entries) => entries.length > 0 && entries.every(isEntry));

/** Several tokens let both the old and the new one in while they are rotated. */
export const tokens = {
  schema: listOf((token) => /^[A-Za-z0-9._~+/=-]{1,512}$/.test(token)),
  allowed: 'one token or several separated by commas, each of letters, digits and ._~+/=-',
  secret: true,
};

export const isUrl = (text: string, protocols: string[]): boolean =>
  URL.canParse(text) && protocols.includes(new URL(text).protocol) && !/[?#\s]/.test(text);

export const origins = {
  schema: listOf((origin) => isUrl(origin, ['http:', 'https:']) && new URL(origin).origin === origin),
  allowed: 'origins such as https://console.example.org separated by commas, without a path',
};

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal'];

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return NAMED_NETWORKS.includes(text);
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/**
 * Which proxies' `X-Forwarded-For` is believed. "All of them" is not offered: the first entry of the header is the
 * caller's own to choose, and it would pick the rate limit's bucket.
 */
export const proxies = {
  schema: z.string().transform((text, issues): false | number | string[] => {
    if (SWITCH[text.toLowerCase()] === false) return false;
    if (/^[1-9]$/.test(text)) return Number(text);
    const networks = splitList(text);
    if (!networks.every(isNetwork)) issues.addIssue('not a network');
    return networks;
  }),
  allowed: `off, the number of proxies in front (1 to 9), or their addresses, networks or ${NAMED_NETWORKS.join('/')} separated by commas`,
};
