const HEAD_END = '\r\n\r\n';

/**
 * Whether the bytes hold a complete HTTP/1.1 response (to anything but HEAD), interim ones (1xx) not counted.
 * A response with neither a length nor chunks never is: its end is the connection's.
 */
export function responseIsComplete(bytes: Buffer): boolean {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const head = bytes.toString('latin1', 0, headEnd);
  const body = bytes.subarray(headEnd + HEAD_END.length);
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? '';
  if (status.startsWith('1')) return responseIsComplete(body);
  if (status === '204' || status === '304') return true;
  if (/^transfer-encoding: *chunked/im.test(head)) return chunksAreComplete(body);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  return length !== undefined && body.length >= Number(length);
}

/** Chunks are `<hex length>\r\n<bytes>\r\n`; the one of length 0 is followed by trailers and an empty line. */
function chunksAreComplete(body: Buffer): boolean {
  let at = 0;
  for (;;) {
    const lineEnd = body.indexOf('\r\n', at);
    if (lineEnd < 0) return false;
    const length = Number.parseInt(body.toString('latin1', at, lineEnd), 16);
    if (length === 0) return body.indexOf(HEAD_END, lineEnd) >= 0;
    at = lineEnd + 2 + length + 2;
    if (at > body.length) return false;
  }
}
