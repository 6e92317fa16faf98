import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';
import { launchBrokerInside } from '../support/broker/broker-inside.ts';
import { ADMIN_TOKEN, type BrokerProcess, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { exchangeProblems } from './judge-answer.ts';
import { type Exchange, exchange } from './raw-http.ts';

vi.setConfig(PROCESS_TIMES);

const TRACK = 'Track-Token-Nobody-Writes-Down-1';
const ADMIN = 'Admin-Token-Nobody-Writes-Down-2';

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await launchBrokerInside({
    BROKER_API_TOKEN: TRACK,
    BROKER_ADMIN_TOKEN: ADMIN,
    SANDBOX_USE_MEMORY_DB: 'true',
    LOG_LEVEL: 'debug',
    // So that each case is a client of its own: wrong tokens of one are rationed.
    TRUST_PROXY: '1',
  });
  await broker.logged('the first sync', ({ created }) => Number(created) > 0);
});
afterAll(async () => void (await broker?.kill9()));

/** Sends a request as these lines, the last of its connection. */
const send = (requestLine: string, ...headers: string[]): Promise<Exchange> =>
  exchange(Number(new URL(broker.url).port), {
    parts: [`${[requestLine, 'Host: broker', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`],
  });

let clients = 0;
const asSomebody = (): string => `X-Forwarded-For: 10.0.${clients >> 8}.${clients++ & 255}`;

const swapCase = (text: string): string =>
  text.replaceAll(/[a-z]/gi, (letter) => (letter < 'a' ? letter.toLowerCase() : letter.toUpperCase()));

/** Twenty ways to get a token wrong, each from the right one. */
const WRONG_FORMS: [name: string, ...headers: string[]][] = [
  ['none'],
  ['an empty one', 'Authorization:'],
  ['the scheme alone', 'Authorization: Bearer'],
  ['no scheme', `Authorization: ${TRACK}`],
  ['another scheme', `Authorization: Basic ${TRACK}`],
  ['Basic, as a user', `Authorization: Basic ${Buffer.from(`${TRACK}:`).toString('base64')}`],
  ['a scheme that only begins so', `Authorization: Bearerr ${TRACK}`],
  ['no space after the scheme', `Authorization: Bearer${TRACK}`],
  ['a colon after the scheme', `Authorization: Bearer: ${TRACK}`],
  ['quotes', `Authorization: Bearer "${TRACK}"`],
  ['its first half', `Authorization: Bearer ${TRACK.slice(0, TRACK.length / 2)}`],
  ['a letter too few', `Authorization: Bearer ${TRACK.slice(0, -1)}`],
  ['a letter too many', `Authorization: Bearer ${TRACK}x`],
  ['a space inside', `Authorization: Bearer ${TRACK.slice(0, 5)} ${TRACK.slice(5)}`],
  ['two of them', `Authorization: Bearer ${TRACK} ${TRACK}`],
  ['a list of them', `Authorization: Bearer ${TRACK},${TRACK}`],
  ['upper and lower case the other way round', `Authorization: Bearer ${swapCase(TRACK)}`],
  ['encoded in base64', `Authorization: Bearer ${Buffer.from(TRACK).toString('base64')}`],
  ['encoded for a URL', `Authorization: Bearer ${TRACK.replaceAll('-', '%2D')}`],
  ['in full-width letters', `Authorization: Bearer \xef\xbc\xb4${TRACK.slice(1)}`],
  ['its digest', `Authorization: Bearer ${'0123456789abcdef'.repeat(4)}`],
  ['the default of the development', `Authorization: Bearer ${ADMIN_TOKEN}`],
  ['a pattern', 'Authorization: Bearer .*'],
  ['7,000 characters', `Authorization: Bearer ${TRACK.repeat(7_000 / TRACK.length)}`],
  ['in another header', `Proxy-Authorization: Bearer ${TRACK}`, `X-Api-Key: ${TRACK}`],
  ['in a cookie', `Cookie: token=${TRACK}; authorization=Bearer ${TRACK}`],
];

describe('a token in the wrong form', () => {
  test.each(WRONG_FORMS)('opens nothing and is not written down: %s', async (_name, ...headers) => {
    for (const line of [
      'POST /v1/allocate HTTP/1.1',
      'GET /v1/admin/stats HTTP/1.1',
      'POST /v1/admin/sync HTTP/1.1',
    ]) {
      const given = await send(line, 'X-Track-ID: holder-1', asSomebody(), ...headers);
      expect(exchangeProblems(given)).toEqual([]);
      expect([401, 403]).toContain(given.answers[0]?.status);
      // Not even as the name of a header of the answer.
      expect(JSON.stringify(given.answers).toLowerCase()).not.toContain(TRACK.slice(0, 12).toLowerCase());
    }
  });

  test.each([
    ['in the query', `/v1/allocate?token=${TRACK}`],
    ['in the path', `/v1/allocate/${TRACK}`],
  ])('is not written down either when it is sent %s', async (_name, path) => {
    const given = await send(`POST ${path} HTTP/1.1`, 'X-Track-ID: holder-1', asSomebody());
    expect([401, 404]).toContain(given.answers[0]?.status);
  });

  test('twice, right and wrong, is refused: which one counts would be anybody’s guess', async () => {
    const twice = [`Authorization: Bearer ${TRACK}`, 'Authorization: Bearer wrong'];
    for (const headers of [twice, twice.toReversed()]) {
      const given = await send('POST /v1/allocate HTTP/1.1', 'X-Track-ID: holder-1', ...headers);
      expect(given.answers.map(({ status }) => status)).toEqual([400]);
    }
  });

  test('leaves the log without any of them, and the right one as good as before', async () => {
    const headers = { authorization: `Bearer ${TRACK}` };
    expect((await broker.allocate('an-honest-lab', headers)).status).toBe(201);
    const refusals = broker.logs.filter(({ status }) => status === 401 || status === 403);
    expect(refusals.length).toBeGreaterThan(2 * WRONG_FORMS.length);
    const text = (JSON.stringify(broker.logs) + broker.stderr()).toLowerCase();
    for (const token of [TRACK, ADMIN]) {
      for (const form of [token, Buffer.from(token).toString('base64'), token.replaceAll('-', '%2D')]) {
        expect(text).not.toContain(form.toLowerCase());
      }
    }
  });
});

describe('what a caller writes into headers and paths', () => {
  /** Raw bytes, as latin1; UTF-8 where they are more than one. */
  const utf8 = (text: string): string => Buffer.from(text).toString('latin1');
  const INJECTIONS: [name: string, text: string][] = [
    ['the end of the line', 'a\r\n{"level":"fatal","msg":"forged"}'],
    ['a bare line feed', 'a\n{"level":"fatal","msg":"forged"}'],
    ['a bare carriage return', 'a\r{"level":"fatal","msg":"forged"}'],
    ['a terminal’s colours', '\x1b[31mred\x1b[2J'],
    ['the same in eight bits', '\x9b31mred'],
    ['the same in UTF-8', utf8('\u009b31mred')],
    ['another end of the line', utf8('a\u0085{"level":"fatal"}')],
    ['separators of lines and paragraphs', utf8('a\u2028{"level":"fatal"}\u2029b')],
    ['text that runs backwards', utf8('a\u202e}"latat":"level"{')],
    ['the end of a string', '","level":"fatal","forged":"'],
    ['the end of an object', '"}\\"}'],
    ['an escape', '\\u000a\\n\\'],
    ['NUL', 'a\0b'],
    ['bytes that are no UTF-8', '\xff\xfe\xc3'],
    ['percent signs', '%0a%00%s%d%j%o'],
    ['a very long one', 'x'.repeat(4_000)],
  ];
  const HEADERS = [
    'X-Correlation-ID',
    'X-Track-ID',
    'X-Instruqt-Sandbox-ID',
    'X-Instruqt-Track-ID',
    'X-Sandbox-Name-Prefix',
    'Idempotency-Key',
    'User-Agent',
  ];

  test('comes out of the logger as one line to whoever splits or shows it, and as the same text to who reads it', () => {
    const texts = INJECTIONS.map(([, text]) => text);
    // As the text itself, too, and not as the bytes of its UTF-8.
    texts.push(...texts.map((text) => Buffer.from(text, 'latin1').toString()), '\u2066isolated\u2069');
    const lines: string[] = [];
    const logger = createLogger({
      level: 'info',
      pretty: false,
      destination: { write: (line) => lines.push(line) },
    });
    for (const text of texts) logger.info({ path: text, [text]: 1 }, text);
    expect(lines).toHaveLength(texts.length);
    for (const [index, line] of lines.entries()) {
      expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
      expect(JSON.parse(line)).toMatchObject({ path: texts[index], msg: texts[index] });
    }
  });

  test.each(INJECTIONS)('stays inside its own field of its own line: %s', async (_name, text) => {
    const before = broker.logs.length;
    const ids: string[] = [];
    for (const [index, name] of HEADERS.entries()) {
      const correlation = name === 'X-Correlation-ID' ? [] : [`X-Correlation-ID: corr-${index}`];
      const holder = name === 'X-Track-ID' ? [] : ['X-Track-ID: holder-1'];
      const given = await send(
        'POST /v1/allocate HTTP/1.1',
        `Authorization: Bearer ${TRACK}`,
        ...correlation,
        ...holder,
        `${name}: ${text}`,
      );
      expect(exchangeProblems(given)).toEqual([]);
      const [answer] = given.answers;
      expect(answer?.headers['x-correlation-id']).toMatch(/^[\w.:@/-]{1,128}$/);
      ids.push(answer?.headers['x-request-id'] ?? '');
    }
    const path = text.replaceAll(/[\s\0]/g, '');
    const found = await send(
      `GET /v1/sandboxes/${path} HTTP/1.1`,
      `Authorization: Bearer ${TRACK}`,
      'X-Track-ID: holder-1',
    );
    expect(exchangeProblems(found)).toEqual([]);
    ids.push(found.answers[0]?.headers['x-request-id'] ?? '');

    // The lines are read as JSON where they come in: one that is none would have ended this test already.
    await broker.logged('the last line', ({ request_id }) => request_id === ids.at(-1));
    const lines = broker.logs.slice(before).filter(({ request_id }) => ids.includes(String(request_id)));
    expect(new Set(lines.map(({ request_id }) => request_id))).toEqual(new Set(ids));
    for (const line of broker.logs.slice(before)) {
      expect(['debug', 'info']).toContain(line.level);
      expect(line).not.toHaveProperty('forged');
    }
    for (const { request_id, correlation_id } of lines) {
      const sent = ids.indexOf(String(request_id));
      // An id of the caller's is on the lines of its own request, and nobody's is on another's.
      if (sent > 0 && sent < HEADERS.length) expect([`corr-${sent}`, request_id]).toContain(correlation_id);
    }
  });
});
