import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { runWithCorrelation } from '../../src/telemetry/correlation.ts';
import { createLogger, type LoggerOptions } from '../../src/telemetry/logger.ts';

const IDS = { requestId: 'r-1', correlationId: 'c-1' };

/** A logger, and the lines it wrote. */
function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: 'info', pretty: false, destination, ...options });
  const last = () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>;
  return { logger, lines, last };
}

const keysOf = (line: string): string[] => [...line.matchAll(/[{,]"(\w+)":/g)].map((match) => match[1] ?? '');

describe('a line', () => {
  test('is one JSON object with level, time, fields and message', () => {
    const { logger, lines, last } = capture();
    logger.warn({ action: 'allocate', latency_ms: 3 }, 'slow');
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    expect(last()).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      action: 'allocate',
      latency_ms: 3,
      msg: 'slow',
    });
  });

  test('below the level is not written', () => {
    const { logger, lines } = capture({ level: 'error' });
    logger.warn('no');
    expect(lines).toEqual([]);
  });

  test('carries the ids of the request at work', () => {
    const { logger, last } = capture();
    runWithCorrelation(IDS, () => logger.info('here'));
    expect(last()).toMatchObject({ request_id: 'r-1', correlation_id: 'c-1' });
  });

  test('keeps its own fields whatever a caller says, and no key is there twice', () => {
    const { logger, lines, last } = capture();
    const forged = {
      time: 'never',
      level: 'gold',
      request_id: 'mine',
      correlation_id: 'mine',
      msg: 'forged',
      a: 1,
    };
    runWithCorrelation(IDS, () =>
      logger
        .child(forged)
        .child({ a: 2 })
        .info({ ...forged, a: 3 }, 'real'),
    );
    expect(last()).toMatchObject({
      level: 'info',
      request_id: 'r-1',
      correlation_id: 'c-1',
      a: 3,
      msg: 'real',
    });
    const keys = keysOf(lines[0] ?? '');
    expect(keys).toEqual([...new Set(keys)]);
  });

  test('has the bindings of every parent, the nearest first', () => {
    const { logger, last } = capture();
    const child = logger.child({ loop: 'sync', step: 1 }).child({ step: 2 });
    child.setBindings({ more: true });
    child.info('x');
    expect(last()).toMatchObject({ loop: 'sync', step: 2, more: true });
    expect(child.bindings()).toEqual({ loop: 'sync', step: 2, more: true });
  });

  test('survives what JSON cannot say', () => {
    const { logger, last } = capture();
    const ring: Record<string, unknown> = { n: 1n };
    ring.self = ring;
    logger.info({ ring, nothing: undefined, call: () => 1 }, 'odd');
    expect(last()).toMatchObject({ msg: 'odd', ring: { n: 1 } });
  });
});

describe('errors', () => {
  test('say type, code, message, stack and cause, and none of what a driver hangs on them', () => {
    const { logger, last } = capture();
    const cause = Object.assign(new Error('connection lost'), {
      code: 'ECONNRESET',
      request: { body: 'junk' },
    });
    const error = Object.assign(new TypeError('store call failed', { cause }), {
      code: 'STORE_UNAVAILABLE',
      $response: { headers: { authorization: 'junk' } },
    });
    logger.error({ err: error, other: { nested: error } }, 'failed');
    const described = {
      type: 'TypeError',
      message: 'store call failed',
      code: 'STORE_UNAVAILABLE',
      stack: expect.stringContaining('logger.test.ts'),
      cause: { type: 'Error', message: 'connection lost', code: 'ECONNRESET', stack: expect.any(String) },
    };
    expect(last()).toMatchObject({ err: described, other: { nested: described } });
    expect(JSON.stringify(last())).not.toContain('junk');
  });

  test('that cause themselves do not hang the logger', () => {
    const { logger, last } = capture();
    const error = new Error('loop');
    error.cause = error;
    logger.error(error);
    expect(last()).toMatchObject({ msg: 'loop', err: { message: 'loop' } });
  });

  test('that go through Fastify are described in the same way', async () => {
    const { logger, lines } = capture();
    const app = Fastify({ loggerInstance: logger });
    app.get('/', () => {
      throw Object.assign(new Error('broken'), { code: 'E_BROKEN', body: 'junk' });
    });
    await app.inject('/');
    await app.close();
    const line = lines.map((text) => JSON.parse(text)).find(({ level }) => level === 'error');
    expect(line.err).toMatchObject({ type: 'Error', code: 'E_BROKEN', message: 'broken' });
    expect(lines.join()).not.toContain('junk');
  });
});

describe('secrets', () => {
  test.each([
    { authorization: 'Bearer hush' },
    { headers: { Authorization: 'Bearer hush', 'set-cookie': ['hush'] } },
    { provider: { options: { apiToken: 'hush', clientSecret: { value: 'hush' } } } },
    { list: [{ password: 'hush' }] },
    { CSP_API_TOKEN: 'hush', api_key: 'hush' },
    { a: { b: { c: { d: { e: { token: 'hush' } } } } } },
  ])('%o is masked by name', (fields) => {
    const { logger, lines } = capture();
    logger.info(fields);
    logger.child(fields).info('again');
    expect(lines).toHaveLength(2);
    expect(lines.join()).not.toContain('hush');
  });

  test('are masked by value, wherever they turn up', () => {
    const secrets = ['dev-track-token', 'with"quote\\and-more'];
    const { logger, lines } = capture({ secrets });
    logger.info({ url: '/?t=dev-track-token', deep: { list: secrets } }, 'got dev-track-token');
    logger.error(new Error(`refused ${secrets[1]}`));
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(['info', 'error']);
    expect(lines.join()).not.toMatch(/dev-track-token|and-more/);
  });

  test('by name, but counts are none', () => {
    const { logger, last } = capture();
    logger.info({ trackTokenCount: 2, tokenSeen: true });
    expect(last()).toMatchObject({ trackTokenCount: 2, tokenSeen: true });
  });
});

test('in a terminal, lines are readable, and one line each; but for what went wrong', () => {
  const { logger, lines } = capture({ pretty: true });
  logger.info({ loop: 'sync', counts: { created: 1 } }, 'run ended');
  expect(lines[0]).toMatch(/INFO: run ended \{"loop":"sync","counts":\{"created":1\}\}\n$/);
  logger.error({ loop: 'sync', err: new Error('no way') }, 'run failed');
  expect(lines[1]).toMatch(/ERROR: run failed .*no way.*\n\s+at /s);
});
