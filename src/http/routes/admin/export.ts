import { Readable } from 'node:stream';
import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { exportQuery } from '../../../api/requests.ts';
import { exportSchema } from '../../../api/sandboxes.ts';
import type { Sandbox } from '../../../domain/sandbox.ts';
import type { CallContext } from '../../../usecases/context.ts';
import type { ListInput, ListSandboxes } from '../../../usecases/list-sandboxes.ts';
import { exportText } from '../../export-text.ts';
import { callContext } from '../../plugins/request-context.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface ExportRoutesDeps {
  useCases: { listSandboxes: ListSandboxes };
  requireAdmin: onRequestHookHandler;
}

/** Sandboxes read, and told, at once. */
const PAGE = 250;
const CONTENT_TYPES = { json: 'application/json; charset=utf-8', csv: 'text/csv; charset=utf-8' } as const;

/** The pool as a file, however large it is. */
export function exportRoutes({ useCases, requireAdmin }: ExportRoutesDeps): FastifyPluginAsyncZod {
  async function* pages(
    query: Omit<ListInput, 'limit' | 'cursor'>,
    context: CallContext,
  ): AsyncGenerator<Sandbox[], void, void> {
    let cursor: string | undefined;
    do {
      const page = await useCases.listSandboxes({ ...query, limit: PAGE, cursor }, context);
      yield page.sandboxes;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/export',
      // A look at the headers of one would use one up.
      exposeHeadRoute: false,
      config: { quota: 'data_export', errors: ['STORE_UNAVAILABLE', 'CLOCK_OFF'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'exportSandboxes',
        summary: 'The pool as a file',
        description:
          'All sandboxes that the list would give over all its pages, a line each. It is sent while it is read: one that ' +
          'broke off has no end (in JSON no `count`). Each uses up one `data_export`.',
        querystring: exportQuery,
        response: {
          200: {
            description: 'The file. Times are epoch seconds.',
            content: {
              'application/json': { schema: exportSchema },
              'text/csv': { schema: z.unknown().meta({ type: 'string' }) },
            },
          },
        },
      },
      handler: async (request, reply) => {
        const { format, holder_prefix: holderPrefix, ...query } = request.query;
        const found = pages({ ...query, holderPrefix }, callContext(request, 'admin'));
        // A store that does not answer is told as such, and not by a file that ends too early.
        const first = await found.next();
        const all = async function* () {
          if (!first.done) yield first.value;
          yield* found;
        };
        reply.header('content-disposition', `attachment; filename="sandboxes.${format}"`);
        return reply.type(CONTENT_TYPES[format]).send(Readable.from(exportText(all(), format)));
      },
    });
  };
}
