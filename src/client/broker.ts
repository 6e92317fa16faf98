import type { Lease, Leases, Marked } from '../api/types/leases.ts';
import type { InLine, Reported } from '../api/types/line.ts';
import type { SandboxRecord } from '../api/types/sandboxes.ts';
import type { BrokerErrorCode } from './broker-error.ts';
import {
  type Answer,
  ATTEMPT_TIMEOUT_MS,
  type CallerOptions,
  type CallLimits,
  createCaller,
  DEADLINE_MS,
} from './call.ts';
import { type HeldLease, type HeldLeases, hold, holdAll } from './held-lease.ts';
import { waitInLine } from './wait-in-line.ts';

export interface BrokerOptions extends CallerOptions {
  /**
   * Who holds what is leased: 1 to 128 of `A-Z a-z 0-9 . _ : @ / -`. By default a random one for this object; a program
   * that shall find its leases again after a restart needs one that stays the same.
   */
  holder?: string | undefined;
}

export interface CallOptions extends CallLimits {
  /** Another holder than the broker object's. */
  holder?: string | undefined;
}

export interface LeaseCallOptions extends CallOptions {
  /** Only this lease; by default whichever the holder has of the sandbox. */
  leaseId?: string | undefined;
}

export interface ReportOptions extends LeaseCallOptions {
  /** Lease another one to the same key instead, or give it a place at the head of the line. */
  replace?: boolean | undefined;
  /** Of the other one: only a sandbox whose name begins so. */
  namePrefix?: string | undefined;
}

export interface AllocateOptions extends CallOptions {
  /** The lab the holder runs; for operators. */
  lab?: string | undefined;
  /** Only a sandbox whose name begins so. */
  namePrefix?: string | undefined;
  /**
   * The same key and holder give the same lease again, also to another process, and never a second sandbox: once the
   * lease is over they are told so ({@link HeldLease.leaseOver}), for a day from its begin. By default each call has a
   * random key of its own, kept over its retries: one call, one sandbox.
   *
   * Pass one wherever the call may be made again by somebody who does not know how it ended: a program that is restarted
   * after a time-out or a crash, a job that is delivered twice. Make it of what the sandbox is for, such as
   * `build-4711/step-2`, not of the time, and name a `holder`, without which it would be nobody's key after a restart.
   */
  idempotencyKey?: string | undefined;
  /** How long the lease shall last, seconds; the broker has a default and a maximum. */
  durationSeconds?: number | undefined;
  /**
   * The holder promises a sign of life this often, 30 to 3,600 seconds: a program that died gives back the sooner.
   * {@link HeldLease.keepAlive} gives them.
   */
  heartbeatSeconds?: number | undefined;
  /** The holder is the key, unless there is an `idempotencyKey`: as long as its lease lasts, it gets the same one again. */
  oncePerHolder?: boolean | undefined;
  /** Wait in line where nothing is free, so many seconds at the most; then, or with the `signal`, the place is given up. */
  wait?: number | undefined;
  /** In the line, 0 to 9: the highest is served first. */
  priority?: number | undefined;
  /** Told where it stands. What it throws ends the call. */
  onPosition?: ((place: InLine) => void) | undefined;
  /** Ask again within the deadline while nothing is free. */
  waitForFree?: boolean | undefined;
}

/** There is no place in the line for several. */
export interface AllocateSeveralOptions extends Omit<AllocateOptions, 'wait' | 'priority' | 'onPosition'> {
  /** 2 to 16. */
  count: number;
}

/** A broker as a track sees it. Every call throws a {@link BrokerError}, or the reason of its signal. */
export interface Broker {
  readonly holder: string;
  /**
   * Leases a sandbox. Where it is ended early, or fails with 5xx or without an answer, a sandbox may have been leased that
   * nobody learnt of: ask again with the same `idempotencyKey` to get it, or leave it to expire.
   *
   * @throws RangeError for an `idempotencyKey` without a holder that the caller has named
   */
  allocate(options?: AllocateOptions & { count?: undefined }): Promise<HeldLease>;
  /** So many sandboxes for one key, all or none: `NO_SANDBOXES_AVAILABLE` where fewer are free. */
  allocate(options: AllocateSeveralOptions): Promise<HeldLeases>;
  /** Gives a sandbox back; again and again changes nothing. */
  markForDeletion(sandboxId: string, options?: CallOptions): Promise<Marked>;
  /** Moves the end of a lease to so long from now, as far as the broker allows. `LEASE_OVER` where it is too late. */
  extend(sandboxId: string, durationSeconds: number, options?: LeaseCallOptions): Promise<Lease>;
  /** Gives a sign of life, for a lease with `heartbeatSeconds`. `LEASE_OVER` where it comes too late. */
  heartbeat(sandboxId: string, options?: LeaseCallOptions): Promise<Lease>;
  /** Says that a sandbox one holds is broken; again and again it is answered the same. {@link HeldLease.report} waits in line, too. */
  report(sandboxId: string, reason: string, options?: ReportOptions): Promise<Reported>;
  /** Looks at a sandbox one holds. */
  get(sandboxId: string, options?: CallOptions): Promise<SandboxRecord>;
}

const RANDOM_BYTES = 16;
/** The part of an attempt's time for which the broker may wait with its answer. */
const ASKED_PART = 5 / 6;
/** A place that cannot be given up is lost by itself soon. */
const LEAVE_MS = 5_000;

/**
 * A broker to lease sandboxes from, in Node and in browsers.
 *
 *     await using lease = await broker.allocate({ lab: 'intro' });
 *
 * @throws RangeError for options that cannot be used
 */
export function createBroker(settings: BrokerOptions): Broker {
  const call = createCaller(settings);
  const ownHolder = settings.holder ?? `client-${randomText()}`;

  /** What a holder asks of a sandbox that it has. */
  async function ask<Body>(
    sandboxId: string,
    verb: string,
    { holder = ownHolder, ...limits }: CallOptions,
    body?: Record<string, unknown>,
    more: Record<string, string | undefined> = {},
  ): Promise<Body> {
    const path = `${pathOf(sandboxId)}/${verb}`;
    const headers = { ...as(holder), ...more };
    return bodyOf<Body>(await call({ ...limits, method: 'POST', path, headers, body }));
  }

  const markForDeletion: Broker['markForDeletion'] = async (sandboxId, options = {}) =>
    await ask<Marked>(sandboxId, 'mark-for-deletion', options);

  const extend: Broker['extend'] = async (sandboxId, durationSeconds, { leaseId, ...options } = {}) =>
    await ask<Lease>(sandboxId, 'extend', options, {
      duration_seconds: durationSeconds,
      lease_id: leaseId,
    });

  const heartbeat: Broker['heartbeat'] = async (sandboxId, { leaseId, ...options } = {}) =>
    await ask<Lease>(sandboxId, 'heartbeat', options, { lease_id: leaseId });

  const report: Broker['report'] = async (
    sandboxId,
    reason,
    { leaseId, replace, namePrefix, ...options } = {},
  ) =>
    await ask<Reported>(
      sandboxId,
      'report',
      options,
      { reason, replace, lease_id: leaseId },
      named(namePrefix),
    );

  function allocate(options?: AllocateOptions & { count?: undefined }): Promise<HeldLease>;
  function allocate(options: AllocateSeveralOptions): Promise<HeldLeases>;
  async function allocate(
    options: AllocateOptions & { count?: number | undefined } = {},
  ): Promise<HeldLease | HeldLeases> {
    const { holder = ownHolder, lab, namePrefix, idempotencyKey, count } = options;
    if (idempotencyKey !== undefined && (options.holder ?? settings.holder) === undefined) {
      throw new RangeError('an idempotencyKey needs a holder: nobody finds it again under a random one');
    }
    const headers = {
      ...as(holder),
      // Without one, the broker takes the holder for it.
      'idempotency-key': idempotencyKey ?? (options.oncePerHolder ? undefined : randomText()),
      'x-instruqt-track-id': lab && asHeader(lab),
      ...named(namePrefix),
    };
    const { signal, correlationId, deadlineMs = settings.deadlineMs, wait = 0 } = options;
    const ask = (seconds?: number, leftMs = 0) =>
      call({
        signal,
        deadlineMs: (deadlineMs ?? DEADLINE_MS) + leftMs,
        correlationId,
        method: 'POST',
        path: '/v1/allocate',
        headers,
        body: bodyFor({
          count,
          duration_seconds: options.durationSeconds,
          heartbeat_seconds: options.heartbeatSeconds,
          wait_seconds: seconds,
          priority: options.priority,
        }),
        retryCodes: retryCodesOf(options),
      });
    const leave = () =>
      call({ deadlineMs: LEAVE_MS, correlationId, method: 'DELETE', path: '/v1/line', headers });
    const longestCall = Math.floor(((settings.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS) * ASKED_PART) / 1000);
    const inLine = (waiting: Pick<AllocateOptions, 'onPosition' | 'signal'> & { wait: number }) =>
      waitInLine({ ask, leave }, { ...waiting, longestCall });
    const answer = wait > 0 ? await inLine({ ...options, wait }) : await ask();

    function toHeld(lease: Lease, replayed: boolean): HeldLease {
      const { sandbox_id: id, lease_id: leaseId } = lease;
      return hold(
        lease,
        {
          giveBack: (limits) => markForDeletion(id, { ...limits, holder }),
          extend: (seconds, limits) => extend(id, seconds, { ...limits, holder, leaseId }),
          heartbeat: (limits) => heartbeat(id, { ...limits, holder, leaseId }),
          async report(reason, { wait = 0, onPosition, ...replacing } = {}) {
            const asked = { ...replacing, holder, leaseId, namePrefix };
            const { replacement, place } = await report(id, reason, asked);
            if (replacement) return toHeld(replacement, false);
            if (!place || wait === 0) return undefined;
            const turn = await inLine({ wait, onPosition, signal: replacing.signal });
            return toHeld(bodyOf<Lease>(turn), false);
          },
        },
        { holder, replayed, leaseOver: lease.lease_over === true },
      );
    }
    const replayed = answer.headers.get('idempotency-replayed') === 'true';
    if (count === undefined) return toHeld(bodyOf<Lease>(answer), replayed);
    const { leases } = bodyOf<Leases>(answer);
    return holdAll(
      leases.map((lease) => toHeld(lease, replayed)),
      { holder, replayed },
    );
  }

  return {
    holder: ownHolder,
    allocate,
    markForDeletion,
    extend,
    heartbeat,
    report,
    get: async (sandboxId, { holder = ownHolder, ...limits } = {}) =>
      bodyOf<SandboxRecord>(
        await call({ ...limits, method: 'GET', path: pathOf(sandboxId), headers: as(holder) }),
      ),
  };
}

/** What is worth another attempt: who waits has lost nothing but time by them. */
function retryCodesOf({ wait, waitForFree }: AllocateOptions): BrokerErrorCode[] {
  if (wait) return ['LINE_FULL', 'PLACE_LOST'];
  return waitForFree ? ['NO_SANDBOXES_AVAILABLE'] : [];
}

/** None where nothing is asked for: a broker of an earlier version reads no body. */
const bodyFor = (fields: Record<string, unknown>) =>
  Object.values(fields).some((value) => value !== undefined) ? fields : undefined;

const named = (namePrefix: string | undefined) => ({
  'x-sandbox-name-prefix': namePrefix && asHeader(namePrefix),
});
const as = (holder: string) => ({ 'x-track-id': holder });
const pathOf = (sandboxId: string): string => `/v1/sandboxes/${encodeURIComponent(sandboxId)}`;

/** The broker answers with what its schemas say; the types here are held against them. */
const bodyOf = <Body>({ body }: Answer): Body => body as Body;

/** The broker reads UTF-8 in these headers; `fetch` takes one byte a character. */
const asHeader = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));

/** Not `randomUUID`, which pages without TLS do not have. Where there is no `crypto` (Node 18), once only is enough: it is no secret. */
function randomText(): string {
  const bytes =
    'crypto' in globalThis
      ? crypto.getRandomValues(new Uint8Array(RANDOM_BYTES))
      : Uint8Array.from({ length: RANDOM_BYTES }, () => Math.random() * 256);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
