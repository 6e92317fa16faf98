import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { listenForTest } from '../support/listen.ts';

const half = (answer: Buffer): Buffer => answer.subarray(0, Math.floor(answer.length / 2));

/** Ways to break an answer, by what comes of it. */
export const BROKEN_ANSWERS: Record<string, (answer: Buffer, response: ServerResponse) => void> = {
  'half of it, then a cut': (answer, response) => {
    response.writeHead(200, { 'content-length': answer.length });
    response.write(half(answer), () => response.destroy());
  },
  'half of it in chunks, then a cut': (answer, response) => {
    response.write(half(answer), () => response.destroy());
  },
  'half of it, then silence': (answer, response) => {
    response.writeHead(200, { 'content-length': answer.length });
    response.write(half(answer));
  },
  'half of it as if it were all': (answer, response) => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(half(answer));
  },
  'half of a refusal': (_answer, response) => {
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end('{"__type":"com.amaz');
  },
  "a proxy's page with status 200": (_answer, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Back soon</html>');
  },
  "a proxy's page with status 502": (_answer, response) => {
    response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad gateway</html>');
  },
  'a cut instead of it': (_answer, response) => {
    response.destroy();
  },
};

interface BrokenLine {
  endpoint: string;
  /** The bodies of what came through, parsed. */
  requests: unknown[];
  /** Answers the next `count` requests in the broken way, after the engine has answered them. */
  breakNext(count: number): void;
}

/** Something between client and engine that passes requests and breaks answers. */
export async function startBrokenLine(
  target: string,
  answerBroken: (answer: Buffer, response: ServerResponse) => void,
): Promise<BrokenLine> {
  const requests: unknown[] = [];
  let toBreak = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    requests.push(JSON.parse(body.toString()));
    const answer = await fetch(target, { method: 'POST', headers: passedOn(request.headers), body });
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (toBreak === 0) {
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' }).end(bytes);
      return;
    }
    toBreak--;
    answerBroken(bytes, response);
  });
  return {
    endpoint: await listenForTest(server),
    requests,
    breakNext(count) {
      toBreak = count;
    },
  };
}

const passedOn = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    ['authorization', 'content-type', 'x-amz-date', 'x-amz-target'].map((name) => [
      name,
      String(headers[name]),
    ]),
  );
