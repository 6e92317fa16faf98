import { readdirSync, readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { BY_DUE, BY_STATUS } from '../../src/store/sandboxes/keys.ts';
import { openTable, TTL_ATTRIBUTE, tableDefinition } from '../../src/store/table.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { createCountingClient, uniqueTable } from '../support/broker/core.ts';
import { listenForTest } from '../support/listen.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const read = (file: string): string => readFileSync(pathOf(file), 'utf8');

interface Policy {
  Statement: { Sid: string; Effect: string; Action: string | string[]; Resource: string | string[] }[];
}
const { Statement: statements } = JSON.parse(read('deploy/aws/iam-policy.json')) as Policy;
const listOf = (value: string | string[]): string[] => (typeof value === 'string' ? [value] : value);
const allowed = new Set(statements.flatMap(({ Action }) => listOf(Action)));

/** Everything below a folder, as one text. */
const sources = readdirSync(pathOf('src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(pathOf('src'), file), 'utf8'))
  .join('\n');

/** A transaction needs the rights of what is in it, and none of its own. */
const TRANSACTION = 'TransactWriteItems';
/**
 * Not for the role: creation is for DDB_CREATE_TABLE=true, which production leaves to table.yml.
 */
const ELSEWHERE = ['dynamodb:CreateTable', 'dynamodb:UpdateTimeToLive'];

describe("the role's policy", () => {
  test('allows each call that stands in the code, and none besides', () => {
    const sent = [...sources.matchAll(/new ([A-Z]\w+)Command\(/g)].map(([, name = '']) => name);
    expect(sent).toContain(TRANSACTION);
    const calls = new Set(sent.filter((name) => name !== TRANSACTION).map((name) => `dynamodb:${name}`));
    for (const action of ELSEWHERE) expect(calls.delete(action)).toBe(true);
    expect([...allowed].sort()).toEqual([...calls].sort());
  });

  test('is for one table and its indexes, and never for a whole service', () => {
    const table = /^arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table\/SandboxPool/;
    for (const { Effect, Action, Resource } of statements) {
      expect(Effect).toBe('Allow');
      expect([...listOf(Action), ...listOf(Resource)].join(' ')).not.toContain('*');
      for (const arn of listOf(Resource)) expect(arn).toMatch(table);
    }
    const indexes = statements
      .flatMap(({ Resource }) => listOf(Resource))
      .filter((arn) => arn.includes('/index/'))
      .map((arn) => arn.split('/').at(-1));
    expect(indexes).toEqual([BY_STATUS, BY_DUE]);
  });
});

/** What was asked of an engine: the operation, and the index or the writes in its body. */
interface Asked {
  operation: string;
  body: { IndexName?: string; TransactItems?: Record<string, unknown>[] };
}

/** Passes everything on to an engine, and writes down what was asked. */
async function listenIn(engine: string): Promise<{ endpoint: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const operation = String(incoming.headers['x-amz-target']).split('.').at(-1) ?? '';
      asked.push({ operation, body: JSON.parse(body.toString()) as Asked['body'] });
      const { method, headers } = incoming;
      const onward = request(engine, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      onward.end(body);
    });
  });
  return { endpoint: await listenForTest(server), asked };
}

describeOnFastEngine('a broker at work', ({ endpoint }) => {
  test('needs no right that the policy does not give', async () => {
    const table = uniqueTable();
    const { client } = createCountingClient(endpoint, table);
    onTestFinished(() => client.close());
    await openTable(client, { buckets: 4, create: true }, AbortSignal.timeout(30_000));

    const ears = await listenIn(endpoint);
    const here = await startBrokerHere(ears.endpoint, {
      DDB_TABLE_NAME: table,
      DDB_CREATE_TABLE: 'false',
      ALERT_WEBHOOK_URL: 'http://127.0.0.1:9/',
    });
    const lease = await here.asTrack('POST', '/v1/allocate', 'student');
    await here.asTrack('POST', '/v1/allocate', 'student');
    await here.asTrack('POST', `/v1/sandboxes/${lease.json['sandbox_id']}/mark-for-deletion`, 'student');
    for (const path of ['cleanup', 'expire', 'sync', 'auto-delete-stale', 'bulk-delete?status=stale']) {
      const headers = { 'idempotency-key': path.slice(0, 10) };
      expect((await here.asAdmin('POST', `/v1/admin/${path}`, undefined, headers)).status, path).toBe(200);
    }
    await here.asAdmin('POST', '/v1/admin/jobs', { type: 'sync', options: {} });
    await here.asAdmin('PUT', '/v1/admin/governor/csp_delete', { max_actions: 7 });
    await here.asAdmin('DELETE', '/v1/admin/governor/csp_delete');
    await here.asAdmin('POST', '/v1/admin/breakers/csp_list/override', {
      state: 'open',
      duration_seconds: 60,
    });
    await here.asAdmin('POST', '/v1/admin/breakers/csp_list/reset');
    for (const page of [
      'sandboxes',
      'sandboxes?find=student',
      'alerts',
      'jobs',
      'runtime',
      'readiness',
      'retries',
      'dry-run/log',
      'effects',
      'idempotency',
    ]) {
      expect((await here.asAdmin('GET', `/v1/admin/${page}`)).status, page).toBe(200);
    }
    await here.broker.stop();

    const needed = ears.asked.flatMap(({ operation, body }) =>
      operation === TRANSACTION
        ? (body.TransactItems ?? [])
            .flatMap((item) => Object.keys(item))
            .map((write) => `dynamodb:${write}Item`)
        : [`dynamodb:${operation}`],
    );
    expect([...new Set(needed)].filter((action) => !allowed.has(action))).toEqual([]);
    expect([...allowed].filter((action) => !needed.includes(action))).toEqual([]);
    const indexes = ears.asked.flatMap(({ body }) => body.IndexName ?? []);
    expect([...new Set(indexes)].sort()).toEqual([BY_DUE, BY_STATUS]);
  });
});

describe('the template of the table', () => {
  const template = parse(read('deploy/aws/table.yml')) as {
    Parameters: { TableName: { Default: string } };
    Resources: { Table: { Type: string; DeletionPolicy: string; Properties: Record<string, unknown> } };
  };
  const { Properties, ...table } = template.Resources.Table;

  test('makes the table that the broker would make', () => {
    const { TableName, ...wanted } = tableDefinition('any');
    expect(TableName).toBe('any');
    expect(Properties).toMatchObject(wanted);
  });

  test('turns on what the broker checks at run time, and keeps the table when the stack goes', () => {
    expect(Properties).toMatchObject({
      TimeToLiveSpecification: { AttributeName: TTL_ATTRIBUTE, Enabled: true },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    });
    expect(table).toEqual({
      Type: 'AWS::DynamoDB::Table',
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
    });
    expect(Object.keys(Properties)).toHaveLength(9);
  });

  test('names the table as the policy does', () => {
    const name = template.Parameters.TableName.Default;
    for (const { Resource } of statements) {
      for (const arn of listOf(Resource)) expect(arn).toContain(`:table/${name}`);
    }
  });
});
