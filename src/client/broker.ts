import type { Lease, Marked, SandboxRecord } from './api.ts';
import { BrokerError } from './broker-error.ts';
import { type Answer, type CallerOptions, createCaller } from './call.ts';

export interface BrokerOptions extends CallerOptions {
  /** Who holds what is leased: 1 to 128 of `A-Z a-z 0-9 . _ : @ / -`. By default a random one for this object. */
  holder?: string | undefined;
}

export interface CallOptions {
  /** Another holder than the broker object's. */
  holder?: string | undefined;
  /** Ends the call at once; it throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** For the call with all its retries, milliseconds. */
  deadlineMs?: number | undefined;
}

export interface AllocateOptions extends CallOptions {
  /** The lab the holder runs; for operators. */
  lab?: string | undefined;
  /** Only a sandbox whose name begins so. */
  namePrefix?: string | undefined;
  /**
   * The same key and holder give the same lease again, also to another process. By default each call has a key of its
   * own, kept over its retries: one call, one sandbox.
   */
  idempotencyKey?: string | undefined;
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
  /** Gives the sandbox back. Once it has worked, further calls give the same answer and send nothing. */
  release(options?: Omit<CallOptions, 'holder'>): Promise<Marked>;
}

/** A broker as a track sees it. Every call throws a {@link BrokerError}, or the reason of its signal. */
export interface Broker {
  readonly holder: string;
  /**
   * Leases a sandbox. Where it is ended early, a sandbox may have been leased that nobody learnt of: ask again with the
   * same `idempotencyKey` to get it, or leave it to expire.
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
      const { holder = ownHolder, lab, namePrefix, idempotencyKey, signal, deadlineMs } = options;
      const answer = await call({
        signal,
        deadlineMs,
        method: 'POST',
        path: '/v1/allocate',
        headers: {
          ...as(holder),
          // Without one, the broker takes the holder for it.
          'idempotency-key': idempotencyKey ?? (options.oncePerHolder ? undefined : randomText()),
          'x-instruqt-track-id': lab && asHeader(lab),
          'x-sandbox-name-prefix': namePrefix && asHeader(namePrefix),
        },
        retryCodes: options.waitForFree ? ['NO_SANDBOXES_AVAILABLE'] : [],
      });
      const lease = bodyOf<Lease>(answer);
      return hold(lease, {
        holder,
        replayed: answer.headers.get('idempotency-replayed') === 'true',
        giveBack: (more) => markForDeletion(lease.sandbox_id, { ...more, holder }),
      });
    },
  };
}

interface Holding {
  holder: string;
  replayed: boolean;
  giveBack(options?: CallOptions): Promise<Marked>;
}

function hold(lease: Lease, { holder, replayed, giveBack }: Holding): HeldLease {
  let released: Promise<Marked> | undefined;
  const release: HeldLease['release'] = (options) => {
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
    release,
    async [Symbol.asyncDispose]() {
      try {
        await release();
      } catch (error) {
        // Its time was over, and it is somebody else's by now or gone: nothing is left to give back.
        const isOver = ['NOT_SANDBOX_OWNER', 'SANDBOX_NOT_FOUND'].includes((error as BrokerError).code);
        if (!(error instanceof BrokerError && isOver)) throw error;
      }
    },
  };
}

const as = (holder: string) => ({ 'x-track-id': holder });
const pathOf = (sandboxId: string): string => `/v1/sandboxes/${encodeURIComponent(sandboxId)}`;

/** The broker answers with what its schemas say; the types here are held against them. */
const bodyOf = <Body>({ body }: Answer): Body => body as Body;

/** The broker reads UTF-8 in these headers; `fetch` takes one byte a character. */
const asHeader = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));

/** Not `randomUUID`, which pages without TLS do not have. */
function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
