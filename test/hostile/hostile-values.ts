import fc from 'fast-check';
import type { Schema } from './api.ts';

/** Texts that have broken something somewhere. */
const NASTY = [
  '',
  ' ',
  '\0',
  '\r\nX-Injected: 1',
  '\u001b[31m',
  '\u0085',
  '\u2028{"level":"fatal"}\u2029',
  '\u202egnp.exe',
  '\ufeff',
  '\ud83d',
  '\xff\xfe',
  'caf\xe9',
  '\xc3(',
  '%00',
  '%0d%0a',
  '%ff%fe',
  '%E0%A4%A',
  '../../../../etc/passwd',
  '..\\..\\windows',
  '__proto__',
  'constructor',
  'toString',
  '[object Object]',
  "' OR 1=1 --",
  '$where',
  '{{7*7}}',
  '$(id)',
  'B#00',
  'S#lab-0001',
  'null',
  'NaN',
  '-1',
  '1e309',
  '0x10',
  '1.5',
  '99999999999999999999',
  '👩‍👩‍👧‍👧'.repeat(20),
  'ｌａｂ',
  'İ',
  'x'.repeat(129),
  'x'.repeat(2_049),
  'x'.repeat(5_000),
];

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
);

const hostileNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 1.5, 1e21, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Number.MIN_VALUE),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
);

const nested = (depth: number): unknown => {
  let value: unknown = {};
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { options: value };
  return value;
};

const hostileKey = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toJSON',
  'length',
  'type',
  'state',
  '',
  '$ref',
);

/** JSON that no endpoint asks for. */
export const hostileJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  hostileText,
  hostileNumber,
  fc.constantFrom(null, true, [], {}, [[]]),
  fc.integer({ min: 10, max: 3_000 }).map(nested),
  fc.integer({ min: 100, max: 3_000 }).map((length) => Array.from({ length }, () => 0)),
  fc.dictionary(hostileKey, fc.jsonValue({ maxDepth: 1 })),
);

/** Ids and names that exist, or nearly. */
const plausibleText = fc.oneof(
  fc.integer({ min: 1, max: 30 }).map((number) => `lab-${String(number).padStart(4, '0')}`),
  fc.uuid(),
  fc.constantFrom('holder-1', 'lab', 'sandbox-1', 'respond-async'),
);

/** What a schema of the document takes. Patterns are not read: a plausible text may miss one. */
export function lawful(schema: Schema): fc.Arbitrary<unknown> {
  const {
    enum: values,
    oneOf,
    anyOf,
    type,
    properties,
  } = schema as {
    enum?: unknown[];
    oneOf?: Schema[];
    anyOf?: Schema[];
    type?: string;
    properties?: Record<string, Schema>;
  };
  if (values !== undefined) return fc.constantFrom(...values);
  const choices = oneOf ?? anyOf;
  if (choices !== undefined) return fc.oneof(...choices.map(lawful));
  switch (type) {
    case 'object':
      return fc.record(
        Object.fromEntries(Object.entries(properties ?? {}).map(([key, each]) => [key, lawful(each)])),
        {
          requiredKeys: (schema['required'] ?? []) as string[],
        },
      );
    case 'integer':
    case 'number':
      return fc.integer({
        min: Number(schema['minimum'] ?? 0),
        max: Math.min(1_000_000, Number(schema['maximum'] ?? 100)),
      });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return plausibleText;
  }
}

/** Lawful JSON with one part of it replaced, or one field too many. */
export function bent(schema: Schema): fc.Arbitrary<unknown> {
  return fc.tuple(lawful(schema), hostileKey, hostileJson, fc.nat()).map(([value, key, foreign, place]) => {
    if (typeof value !== 'object' || value === null) return foreign;
    const keys = [...Object.keys(value), key];
    const entries = Object.entries(value).filter(([each]) => each !== keys[place % keys.length]);
    return Object.fromEntries([...entries, [keys[place % keys.length] ?? key, foreign]]);
  });
}
