import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { launchBrokerInside } from '../support/broker/broker-inside.ts';
import { type BrokerProcess, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { DOCUMENTS, readDocument, type ShellBlock, shellBlocksOf } from './documents.ts';

vi.setConfig(PROCESS_TIMES);

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SHOWN_AT = 'http://127.0.0.1:8080';
const STATUS = '@@status ';

/** Tells the status of every call on standard error, and changes nothing else. */
const TELLING_CURL = `curl() { command curl "$@" -w '%{stderr}\\n${STATUS}%{http_code}\\n'; }`;

/**
 * What a document's calls are answered with, in their order: what the comment before a call says, such as
 * `# 409 INVALID_STATE`, else 200.
 */
function promisedStatuses(commands: string): number[] {
  const promised: number[] = [];
  let next = 200;
  for (const line of commands.split('\n')) {
    const said = /^# (\d{3})\b/.exec(line)?.[1];
    if (said !== undefined) next = Number(said);
    if (line.startsWith('#')) continue;
    for (const _call of line.matchAll(/\bcurl /g)) {
      promised.push(next);
      next = 200;
    }
  }
  return promised;
}

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await launchBrokerInside({ SANDBOX_DB_URL: 'memory:' });
  await broker.logged('a pool to lease from', ({ created }) => created === 20);
});
afterAll(async () => void (await broker?.kill9()));

/** All that a document may have run here: it asks the broker, or looks at what it was told. */
const HARMLESS =
  /^(#.*|curl .*|[A-Z]+=\$\((curl|echo) .*| {2}-[HXd] .*| {2}\| sed '[^']*'\)|node deploy\/migrate-table\.ts --help|npx sandbox-broker (--url \S+ \w+|\w+ --help).*|)$/;

/** Pastes blocks into one shell, as a reader would, and gives the statuses of all their calls. */
async function paste(blocks: readonly ShellBlock[]): Promise<number[]> {
  const script = ['set -eu -o pipefail', TELLING_CURL, ...blocks.map(({ commands }) => commands)].join('\n');
  const { stderr } = await promisify(execFile)('bash', ['-c', script.replaceAll(SHOWN_AT, broker.url)], {
    cwd: ROOT,
    maxBuffer: 16 << 20,
  });
  const statuses = stderr.split('\n').filter((line) => line.startsWith(STATUS));
  return statuses.map((line) => Number(line.slice(STATUS.length)));
}

describe('what the documents tell to type', () => {
  const blocks = DOCUMENTS.flatMap(shellBlocksOf);

  test('stands in blocks that this test finds', () => {
    const fences = DOCUMENTS.flatMap((file) => [...readDocument(file).matchAll(/^ *```(\S+)$/gm)]);
    const languages = new Set(fences.map(([, language]) => language));
    expect(
      [...languages].filter((language) => !/^(sh|js|ts|json|yaml|text|mermaid)$/.test(language ?? '')),
    ).toEqual([]);
    expect(blocks).toHaveLength(fences.filter(([, language]) => language === 'sh').length);
  });

  test('is harmless, or is not run here and says why', () => {
    const neither = blocks
      .filter(({ notRun }) => notRun === undefined)
      .flatMap(({ file, commands }) => commands.split('\n').map((line) => `${file}: ${line}`))
      .filter((line) => !HARMLESS.test(line.slice(line.indexOf(': ') + 2)));
    expect(neither).toEqual([]);
  });

  test.each(DOCUMENTS)('works as %s says', async (file) => {
    const runnable = blocks.filter((block) => block.file === file && block.notRun === undefined);
    for (const { commands } of runnable) {
      for (const line of commands.split('\n')) expect(line).toMatch(HARMLESS);
    }
    const promised = runnable.flatMap(({ commands }) => promisedStatuses(commands));
    expect(await paste(runnable)).toEqual(promised);
  });

  test('is left out here for a reason only, and whoever adds to these has to say so twice', () => {
    const leftOut = blocks.flatMap(({ file, commands, notRun }) =>
      notRun === undefined ? [] : [`${file}: ${commands.split(/ {2}|\n/)[0]} (${notRun})`],
    );
    expect(leftOut).toEqual([
      'README.md: npm ci && npm start (test/e2e/newcomer.test.ts starts the broker so; .ci/run installs)',
      'README.md: npm ci && npm test (it is what runs them)',
      'docs/api.md: curl -s http://127.0.0.1:8080/v1/openapi.json > openapi.json (test/client/other-languages.test.ts calls the same generator, and it would be fetched here)',
      'docs/benchmarks.md: npm run bench (takes minutes, and a machine to itself)',
      'docs/labs.md: #!/bin/sh (needs the platform)',
      'docs/labs.md: #!/bin/sh (needs the platform)',
      'docs/labs.md: TRACK_HOLDER="$INSTRUQT_PARTICIPANT_ID" TRACK_FILE=/etc/sandbox.env TRACK_EXTEND_MIN=90 sh /opt/sandbox-broker/track.sh extend (needs the platform)',
      'docs/migration.md: node deploy/migrate-table.ts --from dynamodb://eu-west-1 --from-table SandboxPool --to dynamodb://eu-west-1 --to-table SandboxBroker (needs both tables; test/deploy/migrate-table.test.ts runs it)',
      'docs/operations.md: docker build -t sandbox-broker . (needs a Docker engine)',
      'docs/operations.md: aws cloudformation deploy --stack-name sandbox-broker-table --template-file deploy/aws/table.yml (needs an AWS account)',
      'docs/operations.md: kubectl create secret generic sandbox-broker \\ (needs a cluster)',
      'docs/operations.md: promtool check rules deploy/prometheus/rules.yml (test/deploy/alert-rules.test.ts does so where promtool is installed)',
      'docs/promises.md: npm test (the first is part of them, the others take minutes)',
    ]);
  });
});
