import type { Lease, Marked, SandboxRecord } from './api.ts';
import { BrokerError, type BrokerErrorCode } from './broker-error.ts';
import { type Answer, type CallerOptions, createCaller } from './call.ts';

export interface BrokerOptions extends CallerOptions {
  /**
   * Who holds what is leased: 1 to 128 of `A-Z a-z 0-9 . _ : @ / -`. By default a random one for this object; a program
   * that shall find its leases again after a restart needs one that stays the same.
   */
  holder?: string | undefined;
}

export interface CallOptions {
  /** Another holder than the broker object's. */
  holder?: string | undefined;
  /** Ends the call at once; it throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** For the call with all its retries, milliseconds. */
  deadlineMs?: number | undefined;
  /** Another one than the broker object's. */
  correlationId?: string | undefined;
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
  /** The holder is the key, unless there is an `idempotencyKey`: as long as its lease lasts, it gets the same one again. */
  oncePerHolder?: boolean | undefined;
  /** Wait within the deadline for a sandbox to be free, where there is none. */
  waitForFree?: boolean | undefined;
}

/** A lease that gives itself back at the end of an `await using` scope. */
export interface HeldLease extends Lease, AsyncDisposable {
  readonly holder: string;
  /** The key had this lease already. */
  readonly replayed: boolean;
  /**
   * The key had this lease, and it is over: given back, or run out. The sandbox is somebody else's by now, or gone; new
   * work needs a new key. Only with an `idempotencyKey`.
   */
  readonly leaseOver: boolean;
  /**
   * Gives the sandbox back. Once it has worked, further calls give the same answer and send nothing. Of a lease that was
   * over from the beginning there is nothing to give back: `LEASE_OVER`, and nothing is sent.
   */
  release(options?: Omit<CallOptions, 'holder'>): Promise<Marked>;
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
  allocate(options?: AllocateOptions): Promise<HeldLease>;
  /** Gives a sandbox back; again and again changes nothing. */
  markForDeletion(sandboxId: string, options?: CallOptions): Promise<Marked>;
  /** Looks at a sandbox one holds. */
  get(sandboxId: string, options?: CallOptions): Promise<SandboxRecord>;
}

const RANDOM_BYTES = 16;

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

  const markForDeletion: Broker['markForDeletion'] = async (
    sandboxId,
    { holder = ownHolder, ...limits } = {},
  ) =>
    bodyOf<Marked>(
      await call({
        ...limits,
        method: 'POST',
        path: `${pathOf(sandboxId)}/mark-for-deletion`,
        headers: as(holder),
      }),
    );

  return {
    holder: ownHolder,
    markForDeletion,
    get: async (sandboxId, { holder = ownHolder, ...limits } = {}) =>
      bodyOf<SandboxRecord>(
        await call({ ...limits, method: 'GET', path: pathOf(sandboxId), headers: as(holder) }),
      ),
    async allocate(options = {}) {
      const { holder = ownHolder, lab, namePrefix, idempotencyKey } = options;
      if (idempotencyKey !== undefined && (options.holder ?? settings.holder) === undefined) {
        throw new RangeError('an idempotencyKey needs a holder: nobody finds it again under a random one');
      }
      const answer = await call({
        signal: options.signal,
        deadlineMs: options.deadlineMs,
        correlationId: options.correlationId,
        method: 'POST',
        path: '/v1/allocate',
        headers: {
          ...as(holder),
          // Without one, the broker takes the holder for it.
          'idempotency-key': idempotencyKey ?? (options.oncePerHolder ? undefined : randomText()),
          'x-instruqt-track-id': lab && asHeader(lab),
          'x-sandbox-name-prefix': namePrefix && asHeader(namePrefix),
        },
        body: bodyFor({ duration_seconds: options.durationSeconds }),
        retryCodes: options.waitForFree ? ['NO_SANDBOXES_AVAILABLE'] : [],
      });
      const lease = bodyOf<Lease>(answer);
      return hold(lease, {
        holder,
        replayed: answer.headers.get('idempotency-replayed') === 'true',
        leaseOver: lease.lease_over === true,
        giveBack: (more) => markForDeletion(lease.sandbox_id, { ...more, holder }),
      });
    },
  };
}

/** What giving back comes to where nothing is left to give back. */
const OVER: readonly BrokerErrorCode[] = ['NOT_SANDBOX_OWNER', 'SANDBOX_NOT_FOUND', 'LEASE_OVER'];

/** Where the platform has none yet, compilers and polyfills agree on this one. */
const DISPOSE: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

interface Holding {
  holder: string;
  replayed: boolean;
  leaseOver: boolean;
  giveBack(options?: CallOptions): Promise<Marked>;
}

function hold(lease: Lease, { holder, replayed, leaseOver, giveBack }: Holding): HeldLease {
  let released: Promise<Marked> | undefined;
  const release: HeldLease['release'] = async (options) => {
    // The holder may have leased the same sandbox anew, under another key: that lease is not this one's to end.
    if (leaseOver) {
      throw new BrokerError('LEASE_OVER', 'The lease was over before it was asked for again.', {
        attempts: 0,
      });
    }
    released ??= giveBack(options).catch((error: unknown) => {
      // Another attempt may work.
      released = undefined;
      throw error;
    });
    return released;
  };
  return {
    ...lease,
    holder,
    replayed,
    leaseOver,
    release,
    async [DISPOSE]() {
      try {
        await release();
      } catch (error) {
        // Its time was over, and it is somebody else's by now or gone: nothing is left to give back.
        const isOver = error instanceof BrokerError && OVER.includes(error.code);
        if (!isOver) throw error;
      }
    },
  };
}

/** None where nothing is asked for: a broker of an earlier version reads no body. */
const bodyFor = (fields: Record<string, unknown>) =>
  Object.values(fields).some((value) => value !== undefined) ? fields : undefined;

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
