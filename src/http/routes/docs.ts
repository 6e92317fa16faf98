import swaggerUi from '@fastify/swagger-ui';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';

export const DOCS_PATH = '/v1/docs';

/** Everything comes from the broker itself: the page works where there is no way out, and loads nobody else's script. */
const DOCS_POLICY = {
  'default-src': "'none'",
  'base-uri': "'none'",
  'connect-src': "'self'",
  'font-src': "'self' data:",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
  'img-src': "'self' data:",
  'script-src': "'self'",
  'style-src': "'self'",
};

/** The API's description, for programs and for people. No token needed. */
export const docsRoutes: FastifyPluginAsyncZod = async (app) => {
  app.route({
    method: 'GET',
    url: '/v1/openapi.json',
    schema: {
      operationId: 'openapi',
      summary: "The API's description: this document",
      tags: ['health'],
      response: {
        200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: z.unknown() } } },
      },
    },
    handler: async () => app.swagger(),
  });

  await app.register(swaggerUi, {
    routePrefix: DOCS_PATH,
    staticCSP: DOCS_POLICY,
    theme: { title: 'Sandbox Broker' },
    // Without the bar on top: it offers to load descriptions from elsewhere, which the policy forbids.
    uiConfig: {
      layout: 'BaseLayout',
      docExpansion: 'list',
      displayRequestDuration: true,
      validatorUrl: null,
    },
  });
};
