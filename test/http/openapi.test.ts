import { describe, expect, test } from 'vitest';
import { documentedPath } from '../../src/http/openapi-document.ts';
import { startApp } from '../support/broker/http-app.ts';

interface Operation {
  operationId: string;
  summary: string;
  security?: object[];
  parameters: { name?: string; in?: string; required?: boolean; schema?: object; $ref?: string }[];
  requestBody?: { required: boolean };
  responses: Record<
    string,
    {
      description: string;
      headers: Record<string, { $ref: string }>;
      content: Record<
        string,
        { schema: object; examples?: Record<string, { value: { error: { code: string } } }> }
      >;
    }
  >;
}

async function getDocument() {
  const { app, call } = await startApp();
  const answer = await call('GET', '/v1/openapi.json');
  expect(answer.status).toBe(200);
  const document = answer.json as unknown as {
    openapi: string;
    info: { version: string };
    paths: Record<string, Record<string, Operation>>;
    components: Record<string, Record<string, unknown>>;
  };
  const operations = Object.entries(document.paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  );
  return { app, document, operations };
}

describe("the API's description", () => {
  test('is OpenAPI 3.1 with the broker’s version', async () => {
    const { document } = await getDocument();
    expect([document.openapi, document.info.version]).toEqual(['3.1.0', '1.2.3']);
  });

  test('has every route, and no other', async () => {
    const { app, operations } = await getDocument();
    const served = app.knownRoutes
      .filter(({ method, url }) => method !== 'HEAD' && !/^\/(v1\/docs|console)/.test(url))
      .map(({ method, url }) => `${method} ${documentedPath(url)}`);
    expect(operations.map(({ name }) => name).sort()).toEqual(served.sort());
  });

  test('gives every operation an id of its own and a summary', async () => {
    const { operations } = await getDocument();
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(operations.length);
    expect(operations.every(({ operation }) => operation.summary)).toBe(true);
  });

  test('says which token opens what', async () => {
    const { operations } = await getDocument();
    for (const { name, operation } of operations) {
      const scheme = name.includes('/v1/admin')
        ? 'adminToken'
        : /allocate|sandboxes|line|mark-for-deletion/.test(name)
          ? 'trackToken'
          : undefined;
      expect(operation.security, name).toEqual(scheme === undefined ? undefined : [{ [scheme]: [] }]);
      expect('401' in operation.responses && '403' in operation.responses, name).toBe(scheme !== undefined);
    }
  });

  test('shows an example of every error, in the form of every error', async () => {
    const { operations } = await getDocument();
    for (const { name, operation } of operations) {
      for (const [status, response] of Object.entries(operation.responses)) {
        if (status.startsWith('2') || name === 'GET /readyz') continue;
        const { schema, examples = {} } = response.content['application/json']!;
        expect(schema).toEqual({ $ref: '#/components/schemas/Error' });
        expect(Object.keys(examples).length, `${name} ${status}`).toBeGreaterThan(0);
        for (const [code, { value }] of Object.entries(examples)) expect(value.error.code).toBe(code);
      }
    }
  });

  test('names the headers of requests and answers', async () => {
    const { document } = await getDocument();
    const { parameters, responses } = document.paths['/v1/allocate']!['post']!;
    expect(parameters.map(({ name, $ref }) => name ?? $ref)).toEqual([
      'X-Instruqt-Sandbox-ID',
      'X-Track-ID',
      'X-Instruqt-Track-ID',
      'X-Sandbox-Name-Prefix',
      'Prefer',
      'Idempotency-Key',
      '#/components/parameters/X-Correlation-ID',
    ]);
    expect(Object.keys(responses['200']!.headers)).toContain('Idempotency-Replayed');
    expect(Object.keys(responses['201']!.headers)).not.toContain('Idempotency-Replayed');
    expect(Object.keys(responses['401']!.headers)).toContain('WWW-Authenticate');
    expect(Object.keys(responses['503']!.headers)).toContain('Retry-After');
    expect(Object.keys(document.paths['/healthz']!['get']!.responses['200']!.headers)).toEqual([
      'X-Request-ID',
      'X-Correlation-ID',
    ]);
  });

  test('says that no body is needed, and which defaults there are', async () => {
    const { document } = await getDocument();
    expect(document.paths['/v1/allocate']!['post']!.requestBody?.required).toBe(false);
    const { parameters } = document.paths['/v1/admin/sandboxes']!['get']!;
    expect(parameters.find(({ name }) => name === 'limit')).toMatchObject({
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: 100, default: 50 },
    });
  });

  test('refers only to what it has, and has nothing that it does not refer to', async () => {
    const { document } = await getDocument();
    const text = JSON.stringify(document);
    const referred = new Set(
      [...text.matchAll(/"#\/components\/(\w+)\/([\w-]+)"/g)].map(([, kind, name]) => `${kind}/${name}`),
    );
    const { securitySchemes: _, ...kinds } = document.components;
    const there = Object.entries(kinds).flatMap(([kind, entries]) =>
      Object.keys(entries).map((name) => `${kind}/${name}`),
    );
    expect([...referred].sort()).toEqual(there.sort());
  });
});

describe('the page that shows it', () => {
  test('lets the browser load nothing from elsewhere, and no inline script', async () => {
    const { call } = await startApp();
    const page = await call('GET', '/v1/docs');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
  });

  test('is made of the broker’s own files, all of them there', async () => {
    const { call } = await startApp();
    const page = await call('GET', '/v1/docs');
    const references = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!);
    expect(references.length).toBeGreaterThan(4);
    expect(page.text).not.toMatch(/https?:\/\//);
    expect(page.text).not.toMatch(/<script(?![^>]* src=)/);
    for (const url of references) {
      expect(url).toMatch(/^\/v1\/docs\/static\//);
      expect((await call('GET', url)).status, url).toBe(200);
    }
  });

  test('asks no validator, and finds the description beside it', async () => {
    const { call } = await startApp();
    const script = await call('GET', '/v1/docs/static/swagger-initializer.js');
    expect(script.text).toContain('validatorUrl: null');
    expect(script.text).toContain("resolveUrl('./json')");
    const beside = await call('GET', '/v1/docs/json');
    expect(beside.json).toEqual((await call('GET', '/v1/openapi.json')).json);
  });

  test('has styles that load nothing from elsewhere', async () => {
    const { call } = await startApp();
    for (const file of ['swagger-ui.css', 'index.css']) {
      const css = await call('GET', `/v1/docs/static/${file}`);
      expect(css.status).toBe(200);
      expect(css.text.match(/@import|url\((?!["']?data:)/)).toBeNull();
    }
  });
});
