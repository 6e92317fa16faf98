import fc from 'fast-check';
import type { Operation } from './api.ts';
import { bent, hostileJson, hostileText, lawful } from './hostile-values.ts';

/** A request, ready to be sent as it is. */
export interface HostileRequest {
  method: string;
  bytes: Buffer;
  /** For the report of a failure. */
  text: string;
  /** The whole of it was sent: an answer is due before the client says that it has no more. */
  isComplete: boolean;
  /** It went to the operation, not to a path or method beside it. */
  isOnTarget: boolean;
}

export type Tokens = Readonly<Record<'track' | 'admin', string>>;

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'QUERY',
  'FOO',
  'get',
];
const CONTENT_TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'APPLICATION/JSON',
  'application/vnd.api+json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain',
  'json',
  '/',
  '',
  `application/json; ${'x='.repeat(500)}`,
];
const FRAMINGS = [
  'length',
  'chunked',
  'too short',
  'too long',
  'both',
  'bad chunk',
  'two lengths',
  'odd coding',
] as const;
type Framing = (typeof FRAMINGS)[number];

/** Headers that the broker or something in front of it reads, and what should be none of its business. */
const HEADER_NAMES = [
  'X-Correlation-ID',
  'X-Track-ID',
  'X-Instruqt-Sandbox-ID',
  'X-Instruqt-Track-ID',
  'X-Sandbox-Name-Prefix',
  'Idempotency-Key',
  'Prefer',
  'Last-Event-ID',
  'X-Forwarded-For',
  'X-HTTP-Method-Override',
  'Expect',
  'Upgrade',
  'Origin',
  'Accept-Encoding',
  'If-None-Match',
  'Range',
  'Cookie',
  '__proto__',
  'X-Bad Name',
];

type Pair = readonly [name: string, value: string];

const mostly = <T>(usual: fc.Arbitrary<T>, rarely: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: usual }, { weight: 1, arbitrary: rarely });

const valueFor = (schema: Operation['parameters'][number]['schema']): fc.Arbitrary<string> =>
  fc.oneof(lawful(schema).map(String), hostileText);

const bodyText = (operation: Operation): fc.Arbitrary<string | Buffer | undefined> =>
  fc.oneof(
    fc.constant(undefined),
    (operation.body === undefined
      ? hostileJson
      : fc.oneof(lawful(operation.body), bent(operation.body), hostileJson)
    ).map((json) => JSON.stringify(json) ?? ''),
    fc.constantFrom(
      '{',
      '{"a":1',
      '{"type":"sync","type":"purge"}',
      '{"__proto__":{"isAdmin":true}}',
      '{"constructor":{"prototype":{"isAdmin":true}}}',
      '\ufeff{}',
      '[1e400]',
      '"\\ud800"',
      '['.repeat(8_000),
      'x'.repeat(17_000),
      '[]//',
      '{}{}',
    ),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  );

/** Every parameter on its place, some left out, some twice, some hostile. */
const pairs = (operation: Operation, place: 'query' | 'header'): fc.Arbitrary<Pair[]> => {
  const known = operation.parameters.filter((parameter) => parameter.in === place);
  const each = known.map(({ name, schema }) => {
    const pair = valueFor(schema).map((value): Pair => [name, value]);
    return fc.oneof(
      { weight: 3, arbitrary: fc.constant<Pair[]>([]) },
      { weight: 6, arbitrary: fc.tuple(pair) },
      // Mostly that is refused at once, whatever else is wrong.
      { weight: 1, arbitrary: fc.tuple(pair, pair) },
    );
  });
  return fc.tuple(...each).map((lists) => lists.flat());
};

const strangeQuery: fc.Arbitrary<Pair> = fc.tuple(
  fc.constantFrom(
    '__proto__',
    'constructor[prototype][x]',
    '__proto__[x]',
    'a[]',
    'cursor',
    'limit',
    '',
    '%',
    'force',
  ),
  hostileText,
);
const strangeHeader: fc.Arbitrary<Pair> = fc.tuple(fc.constantFrom(...HEADER_NAMES), hostileText);

const authorization = ({ role }: Operation, tokens: Tokens): fc.Arbitrary<Pair[]> => {
  const right: Pair[] = role === undefined ? [] : [['Authorization', `Bearer ${tokens[role]}`]];
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant(right) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Pair[][]>([], [['Authorization', 'Bearer']], [...right, ...right]),
    },
  );
};

/** Encoded as a careful client does it; what is no text in UTF-8 cannot be. */
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());

function frame(framing: Framing, body: Buffer): { headers: Pair[]; body: Buffer; isComplete: boolean } {
  const length = (value: number): Pair => ['Content-Length', String(value)];
  const chunked: Pair = ['Transfer-Encoding', 'chunked'];
  const chunks = Buffer.concat([
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);
  switch (framing) {
    case 'length':
      return { headers: [length(body.length)], body, isComplete: true };
    case 'chunked':
      // An empty chunk is the last one; a second one would be another request.
      return {
        headers: [chunked],
        body: body.length === 0 ? Buffer.from('0\r\n\r\n') : chunks,
        isComplete: true,
      };
    case 'too short':
      return { headers: [length(body.length + 10)], body, isComplete: false };
    case 'too long':
      return { headers: [length(Math.max(0, body.length - 1))], body, isComplete: true };
    case 'both':
      return { headers: [length(body.length), chunked], body: chunks, isComplete: true };
    case 'bad chunk':
      return { headers: [chunked], body: Buffer.concat([Buffer.from('zz\r\n'), body]), isComplete: true };
    case 'two lengths':
      return { headers: [length(body.length), length(body.length + 1)], body, isComplete: true };
    case 'odd coding':
      return { headers: [['Transfer-Encoding', 'gzip, chunked']], body: chunks, isComplete: true };
  }
}

/** Requests to one operation, each wrong in a few ways or in none. */
export function hostileRequest(operation: Operation, tokens: Tokens): fc.Arbitrary<HostileRequest> {
  const pathValues = operation.parameters
    .filter((parameter) => parameter.in === 'path')
    .map(({ schema }) => mostly(valueFor(schema).map(encoded), hostileText));
  return fc
    .record({
      method: mostly(fc.constant(operation.method), fc.constantFrom(...METHODS)),
      pathValues: fc.tuple(...pathValues),
      pathSuffix: fc.oneof(
        { weight: 9, arbitrary: fc.constant('') },
        fc.constantFrom('/', '//', ';x=1', '%2e', '/..', '#a'),
      ),
      query: pairs(operation, 'query'),
      moreQuery: mostly(fc.constant<Pair[]>([]), fc.array(strangeQuery, { minLength: 1, maxLength: 3 })),
      rawQuery: fc.boolean(),
      authorization: authorization(operation, tokens),
      headers: pairs(operation, 'header'),
      moreHeaders: mostly(fc.constant<Pair[]>([]), fc.array(strangeHeader, { minLength: 1, maxLength: 3 })),
      // Most control characters end a request before anything of ours sees it.
      isCleaned: mostly(fc.constant(true), fc.constant(false)),
      // Half of what is beyond ASCII is then no UTF-8.
      encoding: fc.constantFrom<BufferEncoding>('utf8', 'latin1'),
      contentType: mostly(fc.constant('application/json'), fc.constantFrom(...CONTENT_TYPES)),
      body: bodyText(operation),
      framing: mostly(fc.constantFrom<Framing>('length', 'chunked'), fc.constantFrom(...FRAMINGS)),
    })
    .map((choice) => {
      let place = 0;
      const path =
        operation.path.replaceAll(/\{\w+\}/g, () => choice.pathValues[place++] ?? '') + choice.pathSuffix;
      const write = choice.rawQuery ? (text: string) => text : encoded;
      const query = [...choice.query, ...choice.moreQuery].map(
        ([name, value]) => `${write(name)}=${write(value)}`,
      );
      const content = choice.body === undefined ? undefined : Buffer.from(choice.body);
      const framed = content === undefined ? undefined : frame(choice.framing, content);
      const headers: Pair[] = [
        ['Host', 'broker'],
        ['Connection', 'close'],
        ...choice.authorization,
        ...choice.headers,
        ...choice.moreHeaders,
        ...(framed === undefined ? [] : [['Content-Type', choice.contentType] as const, ...framed.headers]),
      ];
      const fits = (value: string) =>
        choice.encoding === 'utf8' ? value : value.replaceAll(/[\u0100-\u{10ffff}]/gu, '\xff');
      const clean = (value: string) => (choice.isCleaned ? fits(value).replaceAll(/\p{Cc}/gu, '') : value);
      const target = `${path}${query.length > 0 ? `?${query.join('&')}` : ''}`;
      const head = [
        `${choice.method} ${choice.isCleaned ? target.replaceAll(/[\p{Cc} ]/gu, '') : target} HTTP/1.1`,
        ...headers.map(([name, value]) => `${name}: ${clean(value)}`),
      ].join('\r\n');
      const bytes = Buffer.concat([
        Buffer.from(`${head}\r\n\r\n`, choice.encoding),
        framed?.body ?? Buffer.alloc(0),
      ]);
      return {
        method: choice.method,
        bytes,
        text: bytes.toString('latin1').slice(0, 3_000),
        isComplete: framed?.isComplete ?? true,
        isOnTarget: choice.method === operation.method && choice.pathSuffix === '' && pathValues.length === 0,
      };
    });
}
