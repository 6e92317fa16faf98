import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { until } from '../until.ts';
import { responseIsComplete } from './response-is-complete.ts';

/**
 * - `pass`: bytes go through.
 * - `delay`: bytes go through, each this much later, in both directions.
 * - `refuse`: new connections are refused; live ones go on.
 * - `black_hole`: connections are accepted, and nothing goes through any more. A live connection that lost bytes this
 *   way stays silent until it is closed, also when the proxy passes bytes again.
 */
export type FaultBehaviour =
  | { kind: 'pass' }
  | { kind: 'delay'; delayMs: number }
  | { kind: 'refuse' }
  | { kind: 'black_hole' };

/** A TCP proxy on the loopback interface that can be told to fail, for HTTP/1.1 without pipelining. */
export interface FaultProxy {
  readonly port: number;
  readonly endpoint: string;
  /** Clients connected at this moment. */
  readonly liveConnections: number;
  /** Responses that were lost so far by `swallowResponses`. */
  readonly swallowedResponses: number;
  behave(behaviour: FaultBehaviour): Promise<void>;
  /** Resets every live connection. */
  cutConnections(): void;
  /**
   * Loses the responses of the next `count` requests: each goes through, its complete response is awaited, then the
   * client's connection is reset. With `matching`, only requests count whose head (request line and headers) matches.
   */
  swallowResponses(count: number, matching?: RegExp): void;
  /** Cuts everything and resolves when no socket and no timer is left. */
  close(): Promise<void>;
}

const RELISTEN_TIMEOUT_MS = 2_000;

/** Starts a proxy that passes everything to the target. */
export async function startFaultProxy(target: { host: string; port: number }): Promise<FaultProxy> {
  let behaviour: FaultBehaviour = { kind: 'pass' };
  let toSwallow = { count: 0, matching: /^/ };
  let swallowedResponses = 0;
  const links = new Set<Link>();
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };

  const accept = (client: Socket) => {
    track(client);
    const link = linkTo(target, client, {
      behaviour: () => behaviour,
      onUpstream: track,
      takeSwallow(head) {
        if (toSwallow.count === 0 || !toSwallow.matching.test(head)) return false;
        toSwallow.count -= 1;
        return true;
      },
      onSwallowed: () => {
        swallowedResponses += 1;
      },
    });
    links.add(link);
    client.once('close', () => links.delete(link));
  };

  let server: Server | undefined = await listen(accept, 0);
  const { port } = server.address() as AddressInfo;
  const cutConnections = () => {
    for (const link of links) link.cut();
  };

  return {
    port,
    endpoint: `http://127.0.0.1:${port}`,
    get liveConnections() {
      return links.size;
    },
    get swallowedResponses() {
      return swallowedResponses;
    },
    async behave(next) {
      behaviour = next;
      if (next.kind === 'refuse') {
        server?.close();
        server = undefined;
      } else {
        // The port lies among those the kernel gives to outgoing connections: one may just hold it.
        server ??= await until(() => listen(accept, port), {
          timeoutMs: RELISTEN_TIMEOUT_MS,
          what: `the proxy listens on its port ${port} again`,
        });
      }
    },
    cutConnections,
    swallowResponses(count, matching = /^/) {
      toSwallow = { count, matching };
    },
    async close() {
      server?.close();
      server = undefined;
      cutConnections();
      await Promise.all([...sockets].map((socket) => socket.closed || once(socket, 'close')));
    },
  };
}

async function listen(accept: (client: Socket) => void, port: number): Promise<Server> {
  const server = createServer(accept);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

interface LinkRules {
  behaviour(): FaultBehaviour;
  onUpstream(upstream: Socket): void;
  /** Called once per request: whether its response is to be lost. */
  takeSwallow(head: string): boolean;
  onSwallowed(): void;
}

/** One client's connection and ours to the target. */
interface Link {
  cut(): void;
}

function linkTo(target: { host: string; port: number }, client: Socket, rules: LinkRules): Link {
  let silent = rules.behaviour().kind === 'black_hole';
  const fellSilent = () => {
    if (rules.behaviour().kind === 'black_hole') silent = true;
    return silent;
  };
  const delayMs = () => {
    const now = rules.behaviour();
    return now.kind === 'delay' ? now.delayMs : 0;
  };

  const upstream = silent ? undefined : connect(target);
  if (upstream) rules.onUpstream(upstream);
  const toUpstream = upstream && delayedWriter(upstream, delayMs);
  const toClient = delayedWriter(client, delayMs);
  const cut = () => {
    toUpstream?.stop();
    toClient.stop();
    // What is being shut down cannot be reset any more: libuv refuses, and Node would leave the handle open.
    if (client.writableEnded) client.destroy();
    else client.resetAndDestroy();
    upstream?.destroy();
  };

  let exchange = newExchange();
  client.on('data', (chunk) => {
    if (fellSilent()) return;
    if (exchange.swallow === undefined) {
      exchange.head += chunk.toString('latin1');
      if (exchange.head.includes('\r\n\r\n')) exchange.swallow = rules.takeSwallow(exchange.head);
    }
    toUpstream?.push(chunk);
  });
  upstream?.on('data', (chunk) => {
    if (fellSilent()) return;
    exchange.response = Buffer.concat([exchange.response, chunk]);
    const complete = responseIsComplete(exchange.response);
    if (exchange.swallow) {
      if (!complete) return;
      rules.onSwallowed();
      cut();
      return;
    }
    toClient.push(chunk);
    if (complete) exchange = newExchange();
  });

  client.on('end', () => toUpstream?.end());
  upstream?.on('end', () => {
    if (fellSilent()) return;
    if (!exchange.swallow) return toClient.end();
    // A response without a length is complete when its connection ends.
    rules.onSwallowed();
    cut();
  });
  client.on('error', cut).on('close', cut);
  upstream?.on('error', cut);
  return { cut };
}

/** One request and its response. `swallow` is undefined until the request's head is there. */
interface Exchange {
  head: string;
  swallow: boolean | undefined;
  response: Buffer;
}

function newExchange(): Exchange {
  return { head: '', swallow: undefined, response: Buffer.alloc(0) };
}

/** Writes in order, each piece after the delay that applied when it came. */
function delayedWriter(destination: Socket, delayMs: () => number) {
  const queue: { dueMs: number; chunk: Buffer | undefined }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const waitMs = first.dueMs - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(flush, waitMs);
        return;
      }
      queue.shift();
      if (first.chunk === undefined) destination.end();
      else destination.write(first.chunk);
    }
  };
  const add = (chunk: Buffer | undefined) => {
    queue.push({ dueMs: performance.now() + delayMs(), chunk });
    flush();
  };
  return {
    push: (chunk: Buffer) => add(chunk),
    end: () => add(undefined),
    stop() {
      clearTimeout(timer);
      queue.length = 0;
    },
  };
}
