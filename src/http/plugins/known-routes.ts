import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { BrokerError } from '../../domain/errors.ts';

export interface KnownRoute {
  method: string;
  /** The template, such as `/v1/sandboxes/:id`. */
  url: string;
  config: NonNullable<RouteOptions['config']>;
  /** Left out of the API's description. */
  hidden: boolean;
}

/** `/v1/sandboxes/:id` → an expression for the paths it takes. */
function pathPattern(url: string): RegExp {
  const source = url
    .split(/(:[A-Za-z]+|\*)/)
    .map((part) => (part === '*' ? '.*' : part.startsWith(':') ? '[^/]+' : RegExp.escape(part)))
    .join('');
  return new RegExp(`^${source}$`);
}

/**
 * Collects every route registered after this call. The list is complete once the app is ready; it is what 405 answers
 * and the API's description are made of.
 */
export function collectRoutes(app: FastifyInstance): readonly KnownRoute[] {
  const routes: KnownRoute[] = [];
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) {
      // The catch-all that @fastify/cors needs for preflights is no route of ours.
      if (method === 'OPTIONS') continue;
      routes.push({
        method,
        url: route.url,
        config: route.config ?? {},
        hidden: route.schema?.hide === true,
      });
    }
  });
  return routes;
}

/** A browser asking whether it may; everything else with OPTIONS is a method nobody serves. */
function isPreflight(request: FastifyRequest): boolean {
  return (
    request.headers.origin !== undefined && request.headers['access-control-request-method'] !== undefined
  );
}

/**
 * Answers 404, or 405 with `Allow` where the path exists, before anybody reads the body or looks at tokens: a wrong
 * path is not a wrong body.
 */
export function refuseUnknownRoutes(app: FastifyInstance, routes: readonly KnownRoute[]): void {
  let patterns: { method: string; pattern: RegExp }[] = [];
  app.addHook('onReady', async () => {
    patterns = routes.map(({ method, url }) => ({ method, pattern: pathPattern(url) }));
  });

  function refuse(request: FastifyRequest, reply: FastifyReply): never {
    const [path = ''] = request.url.split(/[?#]/, 1);
    const allowed = new Set(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
    if (allowed.size === 0 || allowed.has(request.method)) {
      throw new BrokerError('NOT_FOUND', 'There is nothing at this path.');
    }
    const methods = [...allowed].sort();
    reply.header('allow', methods.join(', '));
    throw new BrokerError(
      'METHOD_NOT_ALLOWED',
      `${request.method} is not served here; ${methods.join(', ')} would be.`,
      {
        details: { allowed: methods },
      },
    );
  }

  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404 || (request.method === 'OPTIONS' && !isPreflight(request))) refuse(request, reply);
    done();
  });
  // For what gives up later, such as a missing file of the docs page.
  app.setNotFoundHandler((request, reply) => refuse(request, reply));
}
