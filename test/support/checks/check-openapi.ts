import { Validator } from '@seriousme/openapi-schema-validator';
import { buildApp } from '../../../src/app.ts';
import { type ApiDocument, documentedPath } from '../../../src/http/openapi-document.ts';
import type { KnownRoute } from '../../../src/http/plugins/known-routes.ts';
import { CONSOLE_PATH } from '../../../src/http/routes/console.ts';
import { DOCS_PATH } from '../../../src/http/routes/docs.ts';
import { fakeAppDeps } from '../broker/fake-app-deps.ts';
import { answerTypes, writtenTypes } from './answer-types.ts';

/**
 * `npm run check:openapi`: builds the app as it is served, and exits with 1 and a list of what is wrong unless its
 * description is a valid OpenAPI document of exactly the routes there are, and the plain types of its answers are up to date.
 */

const PAGES = [DOCS_PATH, CONSOLE_PATH];

/** Routes without an operation, and operations without a route. */
function differences(document: ApiDocument, routes: readonly KnownRoute[]): string[] {
  const served = new Set(
    routes
      // HEAD comes with every GET, and pages for people are not part of the API.
      .filter(({ method, url }) => method !== 'HEAD' && !PAGES.some((page) => url.startsWith(page)))
      .map(({ method, url }) => `${method} ${documentedPath(url)}`),
  );
  const documented = new Set(
    Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    ),
  );
  return [
    ...[...served]
      .filter((route) => !documented.has(route))
      .map((route) => `served, but not described: ${route}`),
    ...[...documented]
      .filter((route) => !served.has(route))
      .map((route) => `described, but not served: ${route}`),
  ];
}

/** What every operation must say, beyond what the format asks for. */
function omissions(document: ApiDocument): string[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, operation]) => {
      const name = `${method.toUpperCase()} ${path}`;
      const missing = ['operationId', 'summary', 'tags'].filter((field) => !(field in operation));
      const bare = Object.entries(operation.responses)
        .filter(([status, response]) => status !== '200' && status !== '201' && !response.content)
        .map(([status]) => `${name}: ${status} has no body`);
      return [...missing.map((field) => `${name}: no ${field}`), ...bare];
    }),
  );
}

async function check(): Promise<string[]> {
  const app = buildApp(fakeAppDeps().deps);
  try {
    await app.ready();
    // As it is served: what does not survive JSON is not part of it.
    const document: ApiDocument & Record<string, unknown> = JSON.parse(JSON.stringify(app.swagger()));
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    return [
      ...(valid ? [] : [`not a valid OpenAPI document: ${JSON.stringify(errors, null, 2)}`]),
      ...differences(document, app.knownRoutes),
      ...omissions(document),
    ];
  } finally {
    await app.close();
  }
}

/** What the client's package, the console and the command line take the answers for. */
async function staleTypes(): Promise<string[]> {
  const [made, written] = [await answerTypes(), writtenTypes()];
  const files = [...new Set([...made.keys(), ...written.keys()])];
  return files
    .filter((file) => made.get(file) !== written.get(file))
    .map((file) => `src/api/types/${file} is not what the schemas say: npm run api:types`);
}

const problems = [...(await check()), ...(await staleTypes())];
if (problems.length === 0) {
  console.log('The OpenAPI document is valid and describes every route, and the types follow it.');
} else {
  console.error(['The OpenAPI document is wrong:', ...problems].join('\n- '));
  process.exitCode = 1;
}
