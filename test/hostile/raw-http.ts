import { connect, type Socket } from 'node:net';

/** One answer as it came over the wire. */
export interface RawAnswer {
  status: number;
  /** By lower-case name; a name that came twice has its values joined by a comma. */
  headers: Record<string, string>;
  body: string;
}

/** Everything that one connection gave back. */
export interface Exchange {
  answers: RawAnswer[];
  /** Bytes that are no complete answer; empty unless the broker broke off in the middle of one. */
  rest: string;
  /**
   * How it ended. `reset`: the broker closed it before it had read all that was sent, and an answer may have been lost
   * under that. `stream`: an answer that has no end was left by the client.
   */
  end: 'closed' | 'reset' | 'stream' | 'hang';
}

export interface ExchangeOptions {
  /** Parts that are written one after the other, each once the one before has left. */
  parts: readonly (string | Buffer)[];
  /** The methods of the requests in them, for telling answers without a body; GET by default. */
  methods?: readonly string[];
  /** Sends FIN after the last part and reads on. */
  halfClose?: boolean;
  /** Past it the exchange counts as a hang. */
  withinMs?: number;
}

const WITHIN_MS = 15_000;

/** Sends bytes as they are, and reads until the broker ends the connection. Strings go out as latin1. */
export function exchange(port: number, options: ExchangeOptions): Promise<Exchange> {
  const { parts, methods = [], halfClose = false, withinMs = WITHIN_MS } = options;
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let received = '';
    const finish = (end: Exchange['end']) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...parseAnswers(received, methods), end });
    };
    const timer = setTimeout(() => finish('hang'), withinMs);
    socket.on('error', () => finish('reset'));
    socket.on('end', () => finish('closed'));
    socket.on('close', () => finish('closed'));
    socket.on('data', (data) => {
      received += data.toString('latin1');
      if (/^HTTP\/1\.1 200 [\s\S]*?\r\ncontent-type: text\/event-stream/i.test(received)) finish('stream');
    });
    socket.on('connect', () => void writeParts(socket, parts, halfClose));
  });
}

async function writeParts(
  socket: Socket,
  parts: readonly (string | Buffer)[],
  halfClose: boolean,
): Promise<void> {
  for (const part of parts) {
    await new Promise((resolve) =>
      socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part, resolve),
    );
  }
  if (halfClose) socket.end();
}

const NO_BODY = [204, 304];

/** Takes the answers apart that came over one connection, interim ones left out. */
export function parseAnswers(
  received: string,
  methods: readonly string[] = [],
): Pick<Exchange, 'answers' | 'rest'> {
  const answers: RawAnswer[] = [];
  let rest = received;
  for (;;) {
    const [head] = rest.split('\r\n\r\n', 1);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(rest)?.[1]);
    if (head === undefined || head.length === rest.length || Number.isNaN(status)) return { answers, rest };
    const headers = readHeaders(head);
    const after = rest.slice(head.length + 4);
    // What never became a request has no method: its refusal has a body, whatever was meant by it.
    const isToHead = methods[answers.length] === 'HEAD' && !(status === 400 && after !== '');
    const hasBody = status >= 200 && !NO_BODY.includes(status) && !isToHead;
    const read = hasBody ? readBody(headers, after) : { body: '', length: 0 };
    if (read === undefined) return { answers, rest };
    if (status >= 200) answers.push({ status, headers, body: Buffer.from(read.body, 'latin1').toString() });
    rest = after.slice(read.length);
  }
}

function readHeaders(head: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  return headers;
}

/** The body at the beginning of `text`; undefined while it is incomplete. */
function readBody(
  headers: Record<string, string>,
  text: string,
): { body: string; length: number } | undefined {
  if (headers['transfer-encoding'] !== 'chunked') {
    // Without a length it lasts as long as the connection.
    const length = headers['content-length'] === undefined ? text.length : Number(headers['content-length']);
    return text.length < length ? undefined : { body: text.slice(0, length), length };
  }
  let body = '';
  let at = 0;
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/i.exec(text.slice(at, at + 20))?.[1];
    if (size === undefined) return undefined;
    const from = at + size.length + 2;
    const bytes = Number.parseInt(size, 16);
    if (text.length < from + bytes + 2) return undefined;
    body += text.slice(from, from + bytes);
    at = from + bytes + 2;
    if (bytes === 0) return { body, length: at };
  }
}
