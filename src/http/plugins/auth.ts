import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { TRACK_PRINCIPAL } from '../../domain/lease.ts';
import { clientKey } from '../client-address.ts';
import { createLimiter } from '../token-bucket.ts';
import { MAX_ADDRESSES } from './rate-limit.ts';

/** A viewer may look at what an admin sees, and change nothing. */
export type Role = 'track' | 'admin' | 'viewer';

/** The tokens of each role; several, so that one can be replaced while the other still works. A viewer's may be missing. */
export type Tokens = Readonly<Record<'track' | 'admin', readonly string[]>> & {
  readonly viewer?: readonly string[];
};

/** Whose token a request came with. */
export interface Caller {
  role: Role;
  /** Whose keys its own are. All tokens of a role are one principal, so that rotating them takes nobody's lease or answer away. */
  principal: string;
  /** The role, and the token's place among those of the role. */
  name: string;
  /** As histories and jobs call it: the role, and which of its tokens where there are several. */
  actor: string;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose token it came with, by its place among the configured ones; undefined where none is needed. */
    caller: Caller | undefined;
  }
}

export interface AuthOptions {
  tokens: Tokens;
  clock: Clock;
  metrics: { rateLimited(): void };
}

/** Wrong tokens from one address: enough for a deployment that got its token wrong to be seen, too few to guess one. */
const FAILED_LOGINS = { perSecond: 1, burst: 20, maxKeys: MAX_ADDRESSES };

const PRINCIPALS: Readonly<Record<Role, string>> = {
  track: TRACK_PRINCIPAL,
  admin: 'admin',
  viewer: 'viewer',
};
const READS = ['GET', 'HEAD'];
const BEARER = /^bearer +(\S+) *$/i;

/** The token of an `Authorization` header, as bytes: Node hands out header bytes as latin1. */
function bearerToken(authorization: string | undefined): Buffer | undefined {
  const token = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
  return token === undefined ? undefined : Buffer.from(token, 'latin1');
}

function sha256(data: string | Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

/** The caller of a route that lets nobody in without a token. */
export function callerOf({ caller }: FastifyRequest): Caller {
  if (caller === undefined) throw new TypeError('the route asks for no token');
  return caller;
}

/**
 * Makes the hook that lets one role in: 401 for no or a wrong token, 403 for the other role's. An admin's token does
 * not open the tracks' routes either: a lease must have a holder. A viewer's opens the admins' routes for reading.
 * Throws `RangeError` when tracks or admins have no token.
 */
export function createAuth({
  tokens,
  clock,
  metrics,
}: AuthOptions): (role: 'track' | 'admin') => onRequestHookHandler {
  for (const role of ['track', 'admin'] as const) {
    if (tokens[role].length === 0) throw new RangeError(`no token for the role ${role}`);
  }
  const roles: Role[] = ['track', 'admin', 'viewer'];
  const known = roles.flatMap((role) =>
    (tokens[role] ?? []).map((token, index, all) => {
      const name = `${role}-${index + 1}`;
      const caller = { role, principal: PRINCIPALS[role], name, actor: all.length > 1 ? name : role };
      return { caller, digest: sha256(token) };
    }),
  );
  const takeFailure = createLimiter(FAILED_LOGINS, clock);

  function ownerOf(token: Buffer): FastifyRequest['caller'] {
    const digest = sha256(token);
    let caller: FastifyRequest['caller'];
    // Every token is compared, the found one's successors too: the time taken tells neither how much of a token was
    // right nor which one it was. Digests have one length, which timingSafeEqual asks for.
    for (const candidate of known) {
      if (timingSafeEqual(candidate.digest, digest)) caller = candidate.caller;
    }
    return caller;
  }

  const isLetIn = (role: Role | undefined, required: Role, method: string): boolean =>
    role === required || (role === 'viewer' && required === 'admin' && READS.includes(method));

  return (required) => (request, _reply, done) => {
    const token = bearerToken(request.headers.authorization);
    if (token === undefined) {
      throw new BrokerError('UNAUTHORIZED', 'A token is needed: Authorization: Bearer <token>.');
    }
    const caller = ownerOf(token);
    if (isLetIn(caller?.role, required, request.method)) {
      request.caller = caller;
      return done();
    }
    if (caller?.role === 'viewer' && required === 'admin') {
      throw new BrokerError('FORBIDDEN', "A viewer's token only looks; this would change something.");
    }
    if (caller !== undefined) {
      throw new BrokerError('FORBIDDEN', `A token of the role ${required} is needed here.`);
    }
    // Counted only now: a right token passes whatever others behind the same address have tried. A lab of a thousand
    // students sits behind one, and any of them could else lock out the rest.
    const verdict = takeFailure(clientKey(request));
    if (verdict.allowed) throw new BrokerError('UNAUTHORIZED', 'This token is not known.');
    metrics.rateLimited();
    throw new BrokerError('RATE_LIMITED', 'Too many wrong tokens from this address.', {
      retryAfterSeconds: verdict.retryAfterSeconds,
    });
  };
}
