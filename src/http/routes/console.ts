import { createHash } from 'node:crypto';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { ConsoleFile } from '../../console/files.ts';
import { BrokerError } from '../../domain/errors.ts';

export interface ConsoleRoutesDeps {
  /** By path, such as `/console/page/main.js`. Only these are ever served, whatever is asked for. */
  files: () => Promise<ReadonlyMap<string, ConsoleFile>>;
}

export const CONSOLE_PATH = '/console';

/** Everything comes from the broker itself, nothing stands in the page itself, and it talks to nobody else. */
const CONSOLE_POLICY = [
  "default-src 'none'",
  "base-uri 'none'",
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // The style sheet has its icons in itself.
  "img-src 'self' data:",
  "script-src 'self'",
  "style-src 'self'",
  "require-trusted-types-for 'script'",
].join(';');

/** Kept by the browser, and asked for again each time: after an update no page is made of old and new files. */
const CACHE_CONTROL = 'no-cache';

/** The operators' console. The files are the same for everybody and need no token; what they show does. */
export function consoleRoutes({ files }: ConsoleRoutesDeps): FastifyPluginAsyncZod {
  const etags = new WeakMap<ConsoleFile, string>();
  const etagOf = (file: ConsoleFile): string => {
    const known = etags.get(file);
    if (known !== undefined) return known;
    const etag = `"${createHash('sha256').update(file.body).digest('base64url')}"`;
    etags.set(file, etag);
    return etag;
  };

  return async (app) => {
    for (const url of [CONSOLE_PATH, `${CONSOLE_PATH}/*`]) {
      app.route({
        method: 'GET',
        url,
        schema: { hide: true },
        handler: async (request, reply) => {
          const [path = ''] = request.url.split('?', 1);
          const file = (await files()).get(path);
          if (file === undefined) throw new BrokerError('NOT_FOUND', 'There is nothing at this path.');
          const etag = etagOf(file);
          reply.headers({
            'cache-control': CACHE_CONTROL,
            'content-security-policy': CONSOLE_POLICY,
            'cross-origin-resource-policy': 'same-origin',
            etag,
          });
          const known = request.headers['if-none-match']
            ?.split(',')
            .map((tag) => tag.trim().replace(/^W\//, ''));
          if (known?.includes(etag)) return reply.code(304).send();
          return reply.type(file.contentType).send(file.body);
        },
      });
    }
  };
}
