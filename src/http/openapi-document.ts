import type { ErrorCode } from '../domain/errors.ts';
import { errorResponses } from './error-examples.ts';
import { headerName } from './header-names.ts';
import { isKeyedWrite } from './plugins/kept-answers.ts';
import type { KnownRoute } from './plugins/known-routes.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For the API's description: the refusals of this endpoint besides those that every endpoint has. */
    errors?: readonly ErrorCode[];
    /** For the API's description: headers of one status's answer, by their names in the components. */
    answerHeaders?: Readonly<Record<string, readonly string[]>>;
    /** For the API's description: without a body there is nothing to do. */
    bodyRequired?: boolean;
  }
}

type Reference = { $ref: string };

interface ApiResponse {
  description: string;
  headers?: Record<string, unknown>;
  content?: unknown;
}

interface ApiOperation {
  parameters?: ({ name: string; in: string } | Reference)[];
  requestBody?: { required?: boolean };
  responses: Record<string, ApiResponse>;
  security?: unknown[];
}

/** As much of an OpenAPI 3.1 document as is read or written here. */
export interface ApiDocument {
  paths: Record<string, Record<string, ApiOperation>>;
  components: { schemas: Record<string, unknown> };
}

const header = (description: string, type: 'string' | 'integer') => ({ description, schema: { type } });

/** What operations refer to. */
export const DOCUMENT_COMPONENTS = {
  securitySchemes: {
    trackToken: { type: 'http', scheme: 'bearer', description: 'A token of `BROKER_API_TOKEN`.' },
    adminToken: {
      type: 'http',
      scheme: 'bearer',
      description: 'A token of `BROKER_ADMIN_TOKEN`; for GET one of `BROKER_VIEWER_TOKEN`, too.',
    },
  },
  parameters: {
    'X-Correlation-ID': {
      name: 'X-Correlation-ID',
      in: 'header',
      required: false,
      description:
        "Ties this call to the caller's other doings. Anything but 1 to 128 of A-Z a-z 0-9 . _ : @ / - is replaced.",
      schema: { type: 'string', maxLength: 128 },
    },
    'Idempotency-Key': {
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description:
        'Carries this request out once: sent again with the same key, it is answered as the first was, for an hour ' +
        '(`IDEMPOTENCY_TTL_SEC`) from its end. While it is under way, a repetition is 409; another request with the ' +
        'same key is 422. What failed is not kept and may be sent again. An answer of more than 64 KiB is not kept: ' +
        'its repetition is 409, and nothing is done a second time.',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    },
  },
  headers: {
    'X-Request-ID': header("The broker's own id of this request.", 'string'),
    'X-Correlation-ID': header(
      "The caller's id, or the request's where the caller sent no usable one.",
      'string',
    ),
    'X-RateLimit-Limit': header('Calls that may come at once from this address.', 'integer'),
    'X-RateLimit-Remaining': header('Calls left of these.', 'integer'),
    'X-RateLimit-Reset': header('Seconds until all of them are there again.', 'integer'),
    'Retry-After': header('Seconds after which a retry makes sense.', 'integer'),
    'WWW-Authenticate': header('`Bearer`.', 'string'),
    'Idempotency-Replayed': header('`true`: this key was used before, and this is what it gave.', 'string'),
    Location: header('Where to ask for the job.', 'string'),
    'Preference-Applied': header(
      '`respond-async`: there is a job, and nobody waited for it. `wait=<seconds>`: the call may have waited for so long.',
      'string',
    ),
  },
} as const;

/** `/v1/sandboxes/:id` as a document writes it. */
export function documentedPath(url: string): string {
  return url.replace(/:([A-Za-z]+)/g, '{$1}');
}

/**
 * Adds, in place, what the schemas of the routes do not say: errors with examples, headers of requests and answers, and
 * whether a body is needed.
 */
export function completeDocument(document: ApiDocument, routes: readonly KnownRoute[]): void {
  for (const { method, url, config } of routes) {
    const operation = document.paths[documentedPath(url)]?.[method.toLowerCase()];
    if (operation === undefined) continue;
    const isKeyed = isKeyedWrite(method, url, config);
    for (const [status, response] of errorResponses(refusals(operation, config, isKeyed))) {
      operation.responses[status] ??= response;
    }
    for (const [status, response] of Object.entries(operation.responses)) {
      const names = answerHeaders(status, config, isKeyed);
      response.headers = Object.fromEntries(
        names.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
      );
    }
    for (const parameter of operation.parameters ?? []) {
      if ('name' in parameter && parameter.in === 'header') parameter.name = headerName(parameter.name);
    }
    operation.parameters = [
      ...(operation.parameters ?? []),
      ...(isKeyed ? [{ $ref: '#/components/parameters/Idempotency-Key' }] : []),
      { $ref: '#/components/parameters/X-Correlation-ID' },
    ];
    if (operation.requestBody !== undefined) operation.requestBody.required = config.bodyRequired === true;
  }
  dropUnusedSchemas(document);
}

const KEYED_REFUSALS = [
  'IDEMPOTENCY_IN_PROGRESS',
  'IDEMPOTENCY_ANSWER_NOT_KEPT',
  'IDEMPOTENCY_KEY_REUSED',
] as const;

function refusals(operation: ApiOperation, config: KnownRoute['config'], isKeyed: boolean): ErrorCode[] {
  return [
    'INVALID_REQUEST',
    ...(operation.security === undefined ? [] : (['UNAUTHORIZED', 'FORBIDDEN'] as const)),
    ...(operation.requestBody === undefined
      ? []
      : (['PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const)),
    ...(config.rateLimitExempt === true ? [] : (['RATE_LIMITED'] as const)),
    ...(operation.security === undefined || config.quotaExempt === true ? [] : (['QUOTA_EXCEEDED'] as const)),
    ...(config.irreversible === undefined ? [] : (['DRY_RUN_LOCKED'] as const)),
    ...(config.errors ?? []),
    ...(isKeyed ? KEYED_REFUSALS : []),
    'INTERNAL',
  ];
}

const RETRYABLE = ['429', '502', '503'];

function answerHeaders(status: string, config: KnownRoute['config'], isKeyed: boolean): string[] {
  return [
    'X-Request-ID',
    'X-Correlation-ID',
    ...(config.rateLimitExempt === true
      ? []
      : ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset']),
    ...(RETRYABLE.includes(status) ? ['Retry-After'] : []),
    ...(status === '401' ? ['WWW-Authenticate'] : []),
    ...(config.answerHeaders?.[status] ?? []),
    ...(isKeyed && status.startsWith('2') ? ['Idempotency-Replayed'] : []),
  ];
}

/** The generator lists every schema twice, once as input and once as output. */
function dropUnusedSchemas(document: ApiDocument): void {
  const { schemas } = document.components;
  const text = JSON.stringify(document);
  const unused = Object.keys(schemas).filter((name) => !text.includes(`"#/components/schemas/${name}"`));
  if (unused.length === 0) return;
  for (const name of unused) delete schemas[name];
  // What these referred to may be unused now.
  dropUnusedSchemas(document);
}
