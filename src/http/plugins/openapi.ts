import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import {
  createJsonSchemaTransform,
  createJsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type ApiDocument, completeDocument, DOCUMENT_COMPONENTS } from '../openapi-document.ts';
import type { KnownRoute } from './known-routes.ts';

const DESCRIPTION = `Leases ready-made sandboxes to labs, CI pipelines and agents: one sandbox, one holder.

Every error has the form \`{"error": {"code", "message", "request_id", "retry_after"?, "details"?}}\`. Times are epoch
seconds. A wrong method is answered with 405 and \`Allow\`, headers of more than 8 KiB with 431, a request that arrives too
slowly with 408.`;

/**
 * What zod says and a document should not: that an integer fits into a double, and that an answer will never get another
 * field. And what it should say and zod does not: the default of a parameter that is read out of its text.
 */
const zodToJsonConfig: NonNullable<Parameters<typeof createJsonSchemaTransform>[0]['zodToJsonConfig']> = {
  override: ({ zodSchema, jsonSchema }) => {
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    const { def } = zodSchema._zod;
    if (def.type === 'object' && def.catchall === undefined) delete jsonSchema.additionalProperties;
    if (def.type === 'default') jsonSchema.default = z.globalRegistry.get(zodSchema)?.['default'];
  },
};

/** The generator's document under the one shape this project reads and writes; its own types know three versions of it. */
function asApiDocument(document: unknown): ApiDocument {
  return document as ApiDocument;
}

/** Validates and serialises by the routes' zod schemas, and makes the API's description (`app.swagger()`) of them. */
export function describeApi(app: FastifyInstance, version: string, routes: readonly KnownRoute[]): void {
  const addSchemas = createJsonSchemaTransformObject({ zodToJsonConfig });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sandbox Broker',
        version,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
      },
      servers: [{ url: '/', description: 'This broker.' }],
      tags: [
        { name: 'tracks', description: 'What labs call, with a track token.' },
        { name: 'admin', description: 'What operators call, with an admin token.' },
        { name: 'health', description: 'What machines and passers-by ask, without a token.' },
      ],
      components: DOCUMENT_COMPONENTS,
    },
    transform: createJsonSchemaTransform({ zodToJsonConfig }),
    transformObject: (input) => {
      const document = asApiDocument(addSchemas(input));
      completeDocument(document, routes);
      return document;
    },
  });
}
