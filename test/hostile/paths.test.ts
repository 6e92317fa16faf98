import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { launchBrokerInside } from '../support/broker/broker-inside.ts';
import { type BrokerProcess, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { startApp } from '../support/broker/http-app.ts';
import { exchangeProblems } from './judge-answer.ts';
import { exchange, type RawAnswer } from './raw-http.ts';

vi.setConfig(PROCESS_TIMES);

/** Everything below which the broker serves files, and a file that is there. */
const PREFIXES = [
  ['/v1/docs/static', 'swagger-ui.css'],
  ['/v1/docs', 'static/swagger-ui.css'],
  ['/console', 'page/main.js'],
] as const;

/** Ways to write one step up that somebody's server has once taken for it. */
const STEPS_UP = [
  '..',
  '%2e%2e',
  '.%2e',
  '%2E.',
  '%252e%252e',
  '..;',
  '..%00',
  '..%5c..',
  '..\\',
  '....',
  '%c0%ae%c0%ae',
  '%e0%80%ae%e0%80%ae',
  '%uff0e%uff0e',
  '..%ef%bc%8f..',
];
const SLASHES = ['/', '//', '%2f', '%5c', '%252f', '/./'];
/** Files that are there, from the folder of the project, from the root, and beside those that are served. */
const TARGETS = [
  'package.json',
  'src/config/index.ts',
  'etc/passwd',
  'etc/hostname',
  '.env',
  'data/broker.db',
];
const DEPTHS = [1, 3, 9];

/** What only those files say. */
const INSIDE = /"private": true|root:x?:|export function|lockfileVersion|SQLite format/;

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await launchBrokerInside({ SANDBOX_USE_MEMORY_DB: 'true' });
});
afterAll(async () => void (await broker?.kill9()));

/** Asks for each of the paths as it is written, over one connection. */
async function askFor(paths: readonly string[]): Promise<RawAnswer[]> {
  const parts = paths.map((path, index) =>
    [
      `GET ${path} HTTP/1.1`,
      'Host: broker',
      ...(index === paths.length - 1 ? ['Connection: close'] : []),
      '',
      '',
    ].join('\r\n'),
  );
  const given = await exchange(Number(new URL(broker.url).port), { parts: [parts.join('')] });
  expect(exchangeProblems(given)).toEqual([]);
  expect(given.answers).toHaveLength(paths.length);
  return given.answers;
}

test('the prefixes here are all below which there are files', async () => {
  const { app } = await startApp();
  const open = app.knownRoutes.filter(({ method, url }) => method === 'GET' && url.endsWith('/*'));
  expect(open.length).toBeGreaterThan(1);
  const known: readonly string[] = PREFIXES.map(([prefix]) => prefix);
  expect(open.map(({ url }) => url.slice(0, -2)).filter((prefix) => !known.includes(prefix))).toEqual([]);
});

describe.each(PREFIXES)('below %s', (prefix, file) => {
  test('there is a file to be had, or else nothing here proves anything', async () => {
    const [answer] = await askFor([`${prefix}/${file}`]);
    expect(answer?.status).toBe(200);
    expect(answer?.body.length).toBeGreaterThan(100);
  });

  test('no step up, however it is written, leads out', async () => {
    const paths = STEPS_UP.flatMap((step) =>
      SLASHES.flatMap((slash) =>
        DEPTHS.flatMap((depth) =>
          TARGETS.map((target) => `${prefix}/${`${step}${slash}`.repeat(depth)}${target}`),
        ),
      ),
    );
    const answers: RawAnswer[] = [];
    while (paths.length > 0) answers.push(...(await askFor(paths.splice(0, 200))));
    // The steps may also lead back to a page of the broker's own, which is nobody's secret.
    const leaks = answers.filter(({ status, body }) => status === 200 && INSIDE.test(body));
    expect(leaks).toEqual([]);
    expect(
      [...new Set(answers.map(({ status }) => status))].filter((status) => ![400, 404].includes(status)),
    ).toEqual([]);
  });

  test.each([
    ['an absolute path', '//etc/passwd'],
    ['an absolute path, encoded', '/%2fetc%2fpasswd'],
    ['a drive', '/C:/windows/win.ini'],
    ['a URL of files', '/file:///etc/passwd'],
    ['a stream of a file', '/page/main.js::$DATA'],
    ['an end of text before the ending', '/page/main.ts%00.js'],
    ['the sources that the page is made of', '/page/main.ts'],
    ['a hidden file', '/.git/config'],
    ['a folder', '/page/'],
    ['a folder of packages', '/node_modules/fastify/package.json'],
    ['what every object has', '/constructor'],
    ['what every object inherits from', '/__proto__'],
  ])('%s is nothing', async (_name, path) => {
    const [answer] = await askFor([`${prefix}${path}`]);
    expect([400, 404]).toContain(answer?.status);
  });
});
