import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyBaseLogger } from 'fastify';
import type { NewId } from '../clock.ts';
import { BrokerError } from '../domain/errors.ts';
import { runWithCorrelation } from '../telemetry/correlation.ts';
import { errorAnswer } from './error-handler.ts';
import { HTTP_LIMITS } from './limits.ts';

/** What Node says about bytes that never became a request. */
function refusal(code: string | undefined): BrokerError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new BrokerError('HEADERS_TOO_LARGE', 'Request line and headers are too large: 8 KiB at most.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new BrokerError('REQUEST_TIMEOUT', 'The request did not arrive in time.');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new BrokerError('PAYLOAD_TOO_LARGE', 'The extensions of a chunk are too large.');
    default:
      return new BrokerError('INVALID_REQUEST', 'This is not a valid HTTP request.');
  }
}

function rawResponse(error: BrokerError, requestId: string): string {
  const { status, body } = errorAnswer(error, requestId);
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    `X-Request-ID: ${requestId}`,
    `X-Correlation-ID: ${requestId}`,
    'Connection: close',
    '',
    text,
  ].join('\r\n');
}

/** True when an earlier request on this connection is half answered: a second status line would land in its body. */
function isMidResponse(socket: Socket): boolean {
  // Node's own clientError handler looks at the same undocumented property; there is no documented one.
  return (
    (socket as Socket & { _httpMessage?: { headersSent?: boolean } | null })._httpMessage?.headersSent ===
    true
  );
}

/**
 * Answers what never becomes a request in the same form as every other error, and closes the connection: bytes that are
 * no HTTP, headers that are too large (431) or too slow (408), `CONNECT`. The client gets {@link HTTP_LIMITS.lingerMs} to
 * stop sending and read the answer.
 */
export function createRawRefusals({ logger, newId }: { logger: FastifyBaseLogger; newId: NewId }) {
  const answered = new WeakSet<Duplex>();

  function refuse(socket: Duplex, error: BrokerError, parserCode?: string): void {
    answered.add(socket);
    const requestId = newId();
    runWithCorrelation({ requestId, correlationId: requestId }, () =>
      logger.info(
        { action: 'request', error_code: error.code, parser_code: parserCode },
        'malformed request',
      ),
    );
    socket.end(rawResponse(error, requestId));
    setTimeout(() => socket.destroy(), HTTP_LIMITS.lingerMs).unref();
  }

  return {
    /** For Fastify's `clientErrorHandler`. */
    onClientError(thrown: Error & { code?: string }, socket: Socket): void {
      // What still arrives after the answer is no news; the timer ends it.
      if (answered.has(socket)) return;
      if (thrown.code === 'ECONNRESET' || !socket.writable || isMidResponse(socket)) socket.destroy();
      else refuse(socket, refusal(thrown.code), thrown.code);
    },
    /** For the server's `connect` event, without which Node hangs up. */
    onConnect(_request: IncomingMessage, socket: Duplex): void {
      socket.on('error', () => socket.destroy());
      refuse(socket, new BrokerError('METHOD_NOT_ALLOWED', 'This is no proxy.'));
      socket.resume();
    },
  };
}
