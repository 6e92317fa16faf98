import { setImmediate as nextTurn } from 'node:timers/promises';
import { openListing } from '../domain/listed.ts';
import { accountsPageSchema, accountUuid, readAccount } from './csp-accounts.ts';
import { type CspAnswer, type CspHttpOptions, createCspHttp } from './csp-http.ts';
import { observedCall } from './observed-call.ts';
import { type Inventory, type Provider, ProviderError, type ProviderObserver } from './provider.ts';

const DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024;
const MAX_DELETE_BODY_BYTES = 16 * 1024;
const MAX_PAGES = 1000;
/** Entries of a page that are read before others have their turn. */
const READ_AT_ONCE = 250;
/** A page may take this many read time-outs altogether, however steadily it drips. */
const PAGE_READ_TIMEOUTS = 20;

export interface CspProviderOptions extends CspHttpOptions {
  /** Size of a listing at most, all its pages together. */
  maxBodyBytes?: number;
  observe?: ProviderObserver | undefined;
}

/**
 * CSP as the far inventory: `GET {baseUrl}/current_user/accounts` lists, `DELETE {baseUrl}/sandbox/accounts/{uuid}`
 * deletes. Nothing is retried here. Throws RangeError for an option that cannot work; its calls throw ProviderError.
 */
export function createCspProvider(options: CspProviderOptions): Provider {
  const { observe, readTimeoutMs, maxBodyBytes = DEFAULT_MAX_BODY_BYTES } = options;
  if (!Number.isSafeInteger(maxBodyBytes) || maxBodyBytes < 1) {
    throw new RangeError(`maxBodyBytes must be a whole number >= 1, got ${maxBodyBytes}`);
  }
  const http = createCspHttp(options);

  async function listAccounts(signal: AbortSignal): Promise<Inventory> {
    const inventory: Inventory = { items: openListing(), invalid: 0 };
    const visited = new Set<string>();
    let bytesLeft = maxBodyBytes;
    let url: URL | undefined = http.url('/current_user/accounts');
    while (url !== undefined) {
      if (visited.has(url.href) || visited.size >= MAX_PAGES) {
        throw new ProviderError('bad_response', `CSP's listing does not end: page ${visited.size + 1}`);
      }
      visited.add(url.href);

      const answer = await http.send('GET', url, signal);
      refuseUnless(answer, [200], 'list');
      const limits = { maxBytes: bytesLeft, withinMs: readTimeoutMs * PAGE_READ_TIMEOUTS };
      const bytes = await http.readBody(answer, limits, signal);
      bytesLeft -= bytes.byteLength;
      const page = parsePage(answer, bytes);

      for (const [index, entry] of page.results.entries()) {
        const item = readAccount(entry);
        if (item === undefined) throw notAsAgreed(answer, `results.${index}`);
        if (item === 'invalid') inventory.invalid += 1;
        else if (item !== 'other') inventory.items.add(item);
        if (index % READ_AT_ONCE === READ_AT_ONCE - 1) await nextTurn();
      }
      url = page.next ? nextPage(page.next, url) : undefined;
    }
    return inventory;
  }

  async function deleteAccount(
    externalId: string,
    signal: AbortSignal,
  ): Promise<'destroyed' | 'accepted' | 'already_gone'> {
    const uuid = accountUuid(externalId);
    if (uuid === undefined) throw new ProviderError('rejected', 'the external id names no CSP account');
    const answer = await http.send(
      'DELETE',
      http.url(`/sandbox/accounts/${encodeURIComponent(uuid)}`),
      signal,
    );
    if (answer.status === 404) {
      answer.body.destroy();
      // CSP says "not found" without a page: this one is a proxy's, or a wrong base URL's, and deletes nothing.
      if (isHtml(answer)) throw notAsExpected(answer, 'delete', 'HTML');
      return 'already_gone';
    }
    refuseUnless(answer, [200, 202, 204], 'delete');
    const limits = { maxBytes: MAX_DELETE_BODY_BYTES, withinMs: readTimeoutMs };
    const bytes = await http.readBody(answer, limits, signal);
    // A proxy's login page with status 200 is not a deletion.
    const isPage = bytes.byteLength > 0 && (isHtml(answer) || bytes.toString().trimStart().startsWith('<'));
    if (isPage) throw notAsExpected(answer, 'delete', 'HTML');
    return answer.status === 202 ? 'accepted' : 'destroyed';
  }

  return {
    name: 'csp',
    listSandboxes: (signal) => observedCall('list', observe, () => listAccounts(signal)),
    deleteSandbox: (sandbox, signal) =>
      observedCall('delete', observe, () => deleteAccount(sandbox.externalId, signal)),
    close: () => http.close(),
  };
}

const isHtml = ({ mediaType }: CspAnswer): boolean =>
  mediaType === 'text/html' || mediaType === 'application/xhtml+xml';

/** A gateway's word that CSP itself has not answered. */
const BEHIND_A_GATEWAY: ReadonlySet<number> = new Set([502, 504]);

/** Throws what a status other than the `good` ones means. Nobody waits for such an answer's body. */
function refuseUnless(answer: CspAnswer, good: readonly number[], operation: 'list' | 'delete'): void {
  const { status, retryAfterMs } = answer;
  if (good.includes(status)) return;
  answer.body.destroy();
  const options = {
    status,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    mayBeUnderWay: BEHIND_A_GATEWAY.has(status),
  };
  const message = `CSP answered ${operation} with ${status}`;
  const isLimit = status === 429 || (status < 500 && status >= 400 && retryAfterMs !== undefined);
  if (isLimit) throw new ProviderError('rate_limited', message, options);
  if (status === 401 || status === 403) throw new ProviderError('unauthorized', message, options);
  if (status >= 500) throw new ProviderError('server_error', message, options);
  if (status >= 400) throw new ProviderError('rejected', message, options);
  // A redirect (to a login page, mostly), or a success that is none: part of a listing, a body that is missing.
  throw new ProviderError('bad_response', message, options);
}

function parsePage(answer: CspAnswer, bytes: Buffer) {
  // Without a content type the body speaks for itself; with a wrong one it is somebody else's answer.
  const { mediaType } = answer;
  if (mediaType !== undefined && !/^(?:application|text)\/(?:.+\+)?json$/.test(mediaType)) {
    throw notAsExpected(answer, 'list', 'not JSON by its content type');
  }
  const json = parseJson(bytes);
  if (json === undefined) throw notAsExpected(answer, 'list', 'not JSON');
  const page = accountsPageSchema.safeParse(json);
  if (page.success) return page.data;
  throw notAsAgreed(answer, page.error.issues[0]?.path.join('.') || 'the body');
}

const notAsAgreed = (answer: CspAnswer, where: string): ProviderError =>
  notAsExpected(answer, 'list', `not of the agreed shape at ${where}`);

/** `undefined` for what is not JSON in UTF-8. The parser's error is dropped: its message quotes the body. */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** The link is only followed on CSP's own origin: the token goes with it. */
function nextPage(link: string, current: URL): URL {
  const url = URL.parse(link, current.href);
  if (url === null || url.origin !== current.origin) {
    throw new ProviderError('bad_response', 'CSP links the next page of its listing outside its own origin');
  }
  return url;
}

function notAsExpected({ status }: CspAnswer, operation: 'list' | 'delete', what: string): ProviderError {
  return new ProviderError('bad_response', `CSP's answer to ${operation} is ${what}`, { status });
}
