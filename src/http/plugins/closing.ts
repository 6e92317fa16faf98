import type { Server } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { shuttingDown } from '../../domain/errors.ts';
import { handleError } from '../error-handler.ts';
import { HTTP_LIMITS } from '../limits.ts';

export interface ClosingDeps {
  /** Fires with the first moment of a shutdown. */
  stopping: AbortSignal;
  /** Fires when a shutdown waits no longer for answers. */
  cutOff: AbortSignal;
}

/** So many turns of the event loop without a new connection: one accepts, the next reads what came with it. */
const QUIET_TURNS = 3;
/** What the kernel holds for Node at most: past so many, those that come now are newer than the shutdown. */
const BACKLOG = 511;
const LOOK_EVERY_MS = 50;

/**
 * Lets a shutdown lose nothing that was sent: from its first moment every answer ends its connection, so that callers
 * come to another replica; what the kernel has accepted is taken over and answered before the port is closed; whatever
 * still waits at the cut-off is answered 503; and connections on which no request comes do not hold the end up.
 */
export function closeInOrder(app: FastifyInstance, { stopping, cutOff }: ClosingDeps): void {
  const open = new Map<FastifyReply, FastifyRequest>();
  let isClosing = false;

  app.addHook('onRequest', (request, reply, done) => {
    open.set(reply, request);
    reply.raw.once('close', () => open.delete(reply));
    done();
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    // A client that is not told would send its next request into the reset.
    if (isClosing || stopping.aborted) reply.header('connection', 'close');
    done(null, payload);
  });
  cutOff.addEventListener('abort', () => {
    for (const [reply, request] of open) {
      if (!reply.sent) handleError(shuttingDown(), request, reply);
    }
  });
  app.addHook('preClose', async () => {
    isClosing = true;
    if (!app.server.listening) return;
    await emptyAcceptQueue(app.server);
    endSilentConnections(app.server, () => open.size > 0);
  });
}

/**
 * Node accepts one connection per turn of the event loop, so a storm waits in the kernel for as many turns as it has
 * callers; closing the port would reset them all.
 */
async function emptyAcceptQueue(server: Server): Promise<void> {
  let accepted = 0;
  const count = () => {
    accepted++;
  };
  server.on('connection', count);
  for (let quiet = 0; quiet < QUIET_TURNS && accepted <= BACKLOG; quiet++) {
    const before = accepted;
    await nextTurn();
    if (accepted !== before) quiet = -1;
  }
  server.off('connection', count);
}

/** A server that is closed looks no more after connections that are silent or slow, and would wait for them for ever. */
function endSilentConnections(server: Server, isBusy: () => boolean): void {
  let busyAtMs = performance.now();
  const timer = setInterval(() => {
    if (isBusy()) busyAtMs = performance.now();
    else if (performance.now() - busyAtMs >= HTTP_LIMITS.lingerMs) server.closeAllConnections();
  }, LOOK_EVERY_MS);
  server.once('close', () => clearInterval(timer));
}
