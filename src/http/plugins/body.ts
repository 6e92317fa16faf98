import type { FastifyInstance } from 'fastify';
import { BrokerError } from '../../domain/errors.ts';

/**
 * Reads JSON bodies, and takes an empty one under any content type: `curl -X POST` sends none, clients that always say
 * `application/json` send nothing under it. Fastify's parser calls both an error. `__proto__` and `constructor` keys are
 * refused with the rest of what is not plain JSON.
 */
export function readBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) => {
    if (body === '') done(null, undefined);
    else void parseJson(request, body, done);
  });
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body: string, done) => {
    if (body === '') done(null, undefined);
    else done(new BrokerError('UNSUPPORTED_MEDIA_TYPE', 'A body must be application/json.'));
  });

  // A content type that cannot be read (`Content-Type: json`) is refused before any parser is asked; with no body to
  // describe, it does not matter.
  app.addHook('onRequest', (request, _reply, done) => {
    const { headers } = request.raw;
    const isEmpty = headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
    if (isEmpty) delete headers['content-type'];
    done();
  });
}
