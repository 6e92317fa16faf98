import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/**
 * The first 64 bits of an IPv6 address: one customer has a whole /64 and could else use a new address per call.
 *
 *     2001:db8::1  →  2001:db8:0:0::/64
 */
function network64(address: string): string {
  const [bare = ''] = address.split('%');
  const [head = '', tail] = bare.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  // A dotted IPv4 tail stands for two groups.
  const afterGroups = after.length + (after.at(-1)?.includes('.') ? 1 : 0);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - afterGroups);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/**
 * What stands for a client where clients are counted: its IPv4 address, or the /64 of its IPv6 address. Whatever is not
 * an address (a proxy that forwards nonsense, a socket that is gone) shares one name, so that nobody can choose one.
 */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  switch (isIP(plain)) {
    case 4:
      return plain;
    case 6:
      return network64(plain);
    default:
      return 'unknown';
  }
}

/** {@link addressKey} of a request; `trustProxy` alone decides whether `X-Forwarded-For` has a say in it. */
export function clientKey(request: FastifyRequest): string {
  return addressKey(request.ip);
}
