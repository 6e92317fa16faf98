import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  isAllowedLicence,
  type LockedPackage,
  licenceCounts,
  lockfileProblems,
  parseLockfile,
  readAudit,
} from '../support/checks/supply-rules.ts';
import { listenForTest } from '../support/listen.ts';
import { temporaryFolder } from '../support/temp-folder.ts';

const fileOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const lockfile = parseLockfile(readFileSync(fileOf('package-lock.json'), 'utf8'));

describe('the lockfile', () => {
  test('keeps every rule, and has packages to keep them', () => {
    expect(Object.keys(lockfile.packages).length).toBeGreaterThan(100);
    expect(lockfileProblems(lockfile)).toEqual([]);
  });

  const sound: LockedPackage = { version: '1.0.0', license: 'MIT', integrity: 'sha512-abc' };
  const problemsOf = (locked: LockedPackage, path = 'node_modules/one') =>
    lockfileProblems({ packages: { '': {}, [path]: locked } });

  test('of a sound package has no problem', () => {
    expect(problemsOf(sound)).toEqual([]);
  });

  test.each<[string, LockedPackage, string]>([
    ['no licence', { ...sound, license: undefined }, 'has no licence'],
    ['a licence nobody has allowed', { ...sound, license: 'AGPL-3.0-only' }, 'AGPL-3.0-only'],
    [
      'the name of something every object has, as a licence',
      { ...sound, license: 'constructor' },
      'constructor',
    ],
    ['a licence that is only for development', { ...sound, license: 'MPL-2.0' }, 'not allowed in production'],
    ['a script at the installation', { ...sound, hasInstallScript: true }, 'runs a script'],
    ['a host', { ...sound, resolved: 'https://registry.example.org/one.tgz' }, 'fetched from'],
    [
      'a repository for a version',
      { ...sound, version: 'git+ssh://git@example.org/one.git' },
      'fetched from',
    ],
    ['no hash', { ...sound, integrity: undefined }, 'no sha512'],
    ['a weak hash', { ...sound, integrity: 'sha1-abc' }, 'no sha512'],
  ])('with %s is told', (_name, locked, sentence) => {
    expect(problemsOf(locked)).toEqual([expect.stringContaining(sentence)]);
  });

  test('may have a copyleft tool that nobody ships, and the script of node', () => {
    expect(problemsOf({ ...sound, license: 'MPL-2.0', dev: true })).toEqual([]);
    expect(problemsOf({ ...sound, hasInstallScript: true }, 'node_modules/node')).toEqual([]);
    expect(
      problemsOf({ ...sound, hasInstallScript: true }, 'node_modules/one/node_modules/node'),
    ).toHaveLength(1);
  });

  test.each([
    ['GPL-3.0-only OR MIT', true],
    ['(MIT OR Apache-2.0)', true],
    ['MIT AND ISC', true],
    ['MIT AND GPL-3.0-only', false],
    ['(MIT AND GPL-3.0-only) OR (ISC)', false],
    ['SEE LICENSE IN LICENSE.txt', false],
    ['', false],
  ])('understands the licence "%s"', (expression, allowed) => {
    expect(isAllowedLicence(expression, false)).toBe(allowed);
  });

  test('is counted by licence, the project itself left out', () => {
    const packages = {
      '': { license: 'Apache-2.0' },
      a: sound,
      b: sound,
      c: { ...sound, license: 'ISC' },
      d: {},
    };
    expect(licenceCounts({ packages })).toEqual([
      ['MIT', 2],
      ['ISC', 1],
      ['none', 1],
    ]);
  });
});

describe('the question after known faults', () => {
  test.each([
    ['nothing', ''],
    ['a page of HTML', '<html></html>'],
    ['a refusal', '{"message":"405","statusCode":405,"error":{"summary":"","detail":""}}'],
    ['no way to the registry', '{"message":"refused","error":{"code":"ECONNREFUSED"}}'],
    ['an empty object', '{}'],
    ['a list without a version', '{"vulnerabilities":{}}'],
  ])('is not answered by %s, which is not called clean', (_name, output) => {
    expect(readAudit(output).kind).toBe('not_answered');
  });

  /** A registry that answers every question about advisories so, and knows no package. */
  async function registry(status: number, advisories: object): Promise<string> {
    const server = createServer((request, response) => {
      const isQuestion = request.method === 'POST';
      request.resume().on('end', () => {
        response.writeHead(isQuestion ? status : 404, { 'content-type': 'application/json' });
        response.end(JSON.stringify(isQuestion ? advisories : {}));
      });
    });
    return `${await listenForTest(server)}/`;
  }

  /** `check:supply` as it is run, with npm asking this registry. */
  async function check(registryUrl: string): Promise<{ code: number; output: string }> {
    // npm remembers what it was told of an advisory, from one registry for another.
    const env = {
      ...process.env,
      npm_config_registry: registryUrl,
      npm_config_cache: await temporaryFolder(),
    };
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [fileOf('test/support/checks/check-supply.ts')],
        { env },
        (error, out, err) =>
          resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: out + err }),
      );
    });
  }

  const advisory = (severity: string) => ({
    undici: [{ id: 1, url: 'https://example.org/1', title: 'made up', severity, vulnerable_versions: '*' }],
  });

  test('that is refused is said to be open, and fails nothing', async () => {
    const { code, output } = await check(await registry(405, {}));
    expect(output).toContain('NOT ANSWERED');
    expect(output).toContain('405');
    expect(output).not.toContain('0 high or critical');
    expect(code).toBe(0);
  });

  test('that finds nothing is answered', async () => {
    const { code, output } = await check(await registry(200, {}));
    expect(output).toContain('answered; 0 high or critical');
    expect(code).toBe(0);
  });

  test.each(['high', 'critical'])('that finds something %s in production fails', async (severity) => {
    const { code, output } = await check(await registry(200, advisory(severity)));
    expect(output).toContain(`undici: ${severity}`);
    expect(code).toBe(1);
  });

  test('that finds something moderate tells it', async () => {
    const { code, output } = await check(await registry(200, advisory('moderate')));
    expect(output).toContain('less grave: undici: moderate');
    expect(code).toBe(0);
  });
});
