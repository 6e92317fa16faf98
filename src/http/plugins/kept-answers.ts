import { hash } from 'node:crypto';
import type {
  FastifyContextConfig,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onSendAsyncHookHandler,
  preHandlerAsyncHookHandler,
} from 'fastify';
import type { Clock } from '../../clock.ts';
import { assertNever, BrokerError } from '../../domain/errors.ts';
import type {
  KeptAnswer,
  KeptAnswers,
  KeyedOutcome,
  KeyedRequest,
  Undertaking,
} from '../../domain/resilience/kept-answer.ts';
import { canonicalJson, keepRenewing, keyInProgress, keyReused } from '../../safety/index.ts';
import { holderOf } from '../holder.ts';
import { invalidRequest } from '../validation-problems.ts';
import { callerOf } from './auth.ts';

export interface KeptAnswersDeps {
  answers: KeptAnswers;
  clock: Clock;
  observe: (outcome: KeyedOutcome) => void;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its answers are kept under their `Idempotency-Key`. */
    isKeyed?: boolean;
  }
  interface FastifyRequest {
    /** Set while a request with a key is carried out; its answer is kept. */
    undertaking: { hold: Undertaking; stopRenewing: () => void } | undefined;
  }
}

const KEY = /^[\x21-\x7e]{1,255}$/;
/** How long a crashed owner blocks its key; a living one renews it at a third. */
const LEASE_MS = 30_000;
/** The client waits for its answer meanwhile. */
const SETTLE_WITHIN_MS = 2_000;
/** An item holds 400 KB; no answer of today has more than a few hundred bytes. */
export const MAX_KEPT_BODY_BYTES = 64 * 1024;
const KEPT_HEADERS = ['content-type', 'location', 'preference-applied'];

/** True for the requests whose answers are kept under their `Idempotency-Key`: operators' writes, and tracks' that say so. */
export const isKeyedWrite = (method: string, url: string, config: FastifyContextConfig = {}): boolean =>
  method === 'POST' && (url.startsWith('/v1/admin/') || config.isKeyed === true);

/** Whose key it is: a holder's are its own. */
function principalOf(request: FastifyRequest): string {
  const { role, principal } = callerOf(request);
  return role === 'track' ? JSON.stringify([principal, holderOf(request.headers)]) : principal;
}

/** The request that is meant, whatever the order of its parameters and the spelling of its defaults: as it was validated. */
function fingerprintOf({ method, routeOptions, params, query, body }: FastifyRequest): string {
  const parts = [method, routeOptions.url ?? '', params ?? {}, query ?? {}, body ?? null];
  // Through JSON once: what is absent and what is undefined are the same, and objects are plain.
  const plain: unknown = JSON.parse(JSON.stringify(parts));
  return hash('sha256', canonicalJson(plain));
}

function keyOf(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && KEY.test(key)) return key;
  const problem = 'must be 1 to 255 visible ASCII characters';
  throw invalidRequest([{ in: 'header', name: 'Idempotency-Key', problem }]);
}

/**
 * Carries out a write once for each `Idempotency-Key`, and answers its repetitions with what the first was answered, on
 * every `POST /v1/admin/*` there is and where a route says `isKeyed`. Only a success is kept: what failed may be sent again.
 */
export function keepAnswers(app: FastifyInstance, { answers, clock, observe }: KeptAnswersDeps): void {
  app.decorateRequest('undertaking', undefined);

  const begin: preHandlerAsyncHookHandler = async (request, reply) => {
    const key = keyOf(request);
    if (key === undefined) return;
    const keyed: KeyedRequest = {
      principal: principalOf(request),
      key,
      fingerprint: fingerprintOf(request),
      operation: `${request.method} ${request.routeOptions.url}`,
    };
    const beginning = await answers.begin(keyed, LEASE_MS);
    switch (beginning.type) {
      case 'begun':
        request.undertaking = {
          hold: beginning.undertaking,
          stopRenewing: holdOn(request, beginning.undertaking),
        };
        return;
      case 'done':
        observe('replayed');
        return replay(reply, beginning.answer);
      case 'other_request':
        observe('other_request');
        throw keyReused();
      case 'under_way':
        observe('in_progress');
        throw keyInProgress((clock.nowMs() - beginning.sinceMs) / 1000);
      default:
        return assertNever(beginning);
    }
  };

  const end: onSendAsyncHookHandler = async (request, reply, payload) => {
    const { undertaking } = request;
    if (undertaking !== undefined) {
      // Before the client has its answer: a repetition that follows upon it shall find it.
      request.undertaking = undefined;
      undertaking.stopRenewing();
      observe(await settle(request, reply, undertaking.hold, payload));
    }
    return payload;
  };

  // Route by route, so that the tracks' requests pass nothing of it. After validation: what is not valid is nobody's
  // request, and has no effect to repeat.
  app.addHook('onRoute', (route) => {
    if (![route.method].flat().some((method) => isKeyedWrite(method, route.url, route.config))) return;
    route.preHandler = [begin, ...[route.preHandler ?? []].flat()];
    route.onSend = [...[route.onSend ?? []].flat(), end];
  });

  const holdOn = (request: FastifyRequest, undertaking: Undertaking) =>
    keepRenewing(answers, undertaking, LEASE_MS, (error) =>
      request.log.warn({ action: 'idempotency', err: error }, 'a request under way could not be renewed'),
    );

  /** What was done is done: nothing that goes wrong here changes the answer. */
  async function settle(
    request: FastifyRequest,
    reply: FastifyReply,
    undertaking: Undertaking,
    payload: unknown,
  ): Promise<KeyedOutcome> {
    const failed = reply.statusCode >= 400;
    const signal = AbortSignal.timeout(SETTLE_WITHIN_MS);
    try {
      if (failed) await answers.forget(undertaking, signal);
      else await answers.keep(undertaking, answerOf(reply, payload), signal);
      return failed ? 'not_kept' : 'executed';
    } catch (error) {
      request.log.warn({ action: 'idempotency', err: error }, 'an answer could not be kept');
      return failed ? 'not_kept' : 'unstored';
    }
  }
}

function answerOf(reply: FastifyReply, payload: unknown): KeptAnswer {
  const headers = Object.fromEntries(
    KEPT_HEADERS.flatMap((name) => {
      const value = reply.getHeader(name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
  const answer = { status: reply.statusCode, headers };
  const isKeepable = typeof payload === 'string' && Buffer.byteLength(payload) <= MAX_KEPT_BODY_BYTES;
  return isKeepable ? { ...answer, body: payload } : answer;
}

function replay(reply: FastifyReply, { status, headers, body }: KeptAnswer): FastifyReply {
  reply.header('idempotency-replayed', 'true');
  if (body === undefined) {
    throw new BrokerError(
      'IDEMPOTENCY_ANSWER_NOT_KEPT',
      `This was done already and answered with ${status}; the answer was too large to be kept.`,
      { details: { status, max_bytes: MAX_KEPT_BODY_BYTES } },
    );
  }
  return reply
    .code(status)
    .headers(headers)
    .serializer((text: string) => text)
    .send(body);
}
