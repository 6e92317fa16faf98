import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fakeFaults, type SpoilingFault } from './fake-csp-faults.ts';

/** An entry of CSP's listing. Any value may be wrong on purpose; `undefined` leaves the field out. */
export type FakeAccount = Record<
  'account_type' | 'state' | 'id' | 'name' | 'csp_id' | 'created_at' | 'sfdc_account_id',
  unknown
>;

let accountsMade = 0;

/** An active sandbox account with ids of its own, but for what `overrides` say. */
export function account(overrides: Partial<FakeAccount> = {}): FakeAccount {
  accountsMade += 1;
  const digits = String(accountsMade).padStart(12, '0');
  return {
    account_type: 'sandbox',
    state: 'active',
    id: `identity/accounts/00000000-0000-4000-8000-${digits}`,
    name: `Sandbox ${accountsMade}`,
    csp_id: String(2_000_000 + accountsMade),
    created_at: '2026-01-02T03:04:05Z',
    sfdc_account_id: null,
    ...overrides,
  };
}

/** The uuid CSP knows an account by: the last part of its id. */
export function uuidOf({ id }: Pick<FakeAccount, 'id'>): string {
  return String(id).split('/').at(-1) ?? '';
}

export interface FakeCall {
  operation: 'list' | 'delete' | 'other';
  method: string;
  path: string;
  /** Of the account, for a delete. */
  uuid: string | undefined;
  correlationId: string | undefined;
  accept: string | undefined;
}

/** How often a delete of one account did something, and how often it met nothing (404). */
export interface FakeDeletes {
  effective: number;
  missed: number;
}

export interface FakeCspOptions {
  token: string;
  /** The path below which CSP lives, `/v2` by default; may be empty. */
  basePath?: string;
  /** Told of every delete at the moment of its effect, or of its refusal. `told`: the answer says how it went. */
  onDelete?: (uuid: string, outcome: 'deleted' | 'missed' | 'failed', told: boolean) => void;
  /** Told of every listing in one page, at the moment at which it is put together. */
  onList?: (uuids: string[]) => void;
}

export type FakeCsp = Awaited<ReturnType<typeof startFakeCsp>>;

/**
 * CSP's end of the socket: a real HTTP server on 127.0.0.1 over an inventory that a test changes at will.
 * Deletes really take effect and are counted per account, so that a test can prove "once and only once".
 */
export async function startFakeCsp({ token, basePath = '/v2', onDelete, onList }: FakeCspOptions) {
  const accounts = new Map<string, FakeAccount>();
  const deletes = new Map<string, FakeDeletes>();
  const calls: FakeCall[] = [];
  /** Deletes under way here, whether their caller still waits or not, by uuid. */
  const running = new Map<string, number>();
  const overlaps: string[] = [];
  const faults = fakeFaults();
  const settings = {
    /** How a delete that has its effect is answered. */
    deleteStatus: 204 as 200 | 202 | 204,
    /** How long a deleted account stays listed as active, milliseconds; `Infinity`: for ever. */
    listedForMs: 0,
    /** By this clock. */
    nowMs: Date.now,
    /** Accounts per page, with `next` links; `undefined` lists all at once. */
    pageSize: undefined as number | undefined,
    /** Called once a page was put together: what happens here shifts the pages that follow. */
    afterPage: (_page: number): void => undefined,
  };
  /** When deleted accounts cease to be listed, by uuid. */
  const leaving = new Map<string, number>();
  const arrivals = new EventEmitter();
  let baseUrl = '';

  function dropWhatHasLeft(): void {
    for (const [uuid, leftAtMs] of leaving) {
      if (leftAtMs > settings.nowMs()) continue;
      leaving.delete(uuid);
      accounts.delete(uuid);
    }
  }

  function listing(url: URL): string {
    dropWhatHasLeft();
    const all = [...accounts.values()];
    const { pageSize } = settings;
    if (pageSize === undefined) onList?.([...accounts.keys()]);
    if (pageSize === undefined) return JSON.stringify({ results: all });
    const page = Number(url.searchParams.get('page') ?? 1);
    const isLast = page * pageSize >= all.length;
    const next = isLast ? null : `${baseUrl}/current_user/accounts?page=${page + 1}`;
    const json = JSON.stringify({ results: all.slice((page - 1) * pageSize, page * pageSize), next });
    settings.afterPage(page);
    return json;
  }

  /** Deletes and counts; answers what CSP would. */
  function effect(uuid: string, told: boolean): number {
    const counted = deletes.get(uuid) ?? { effective: 0, missed: 0 };
    deletes.set(uuid, counted);
    dropWhatHasLeft();
    const known = accounts.has(uuid);
    if (known) counted.effective += 1;
    else counted.missed += 1;
    if (known && !leaving.has(uuid)) leaving.set(uuid, settings.nowMs() + settings.listedForMs);
    dropWhatHasLeft();
    onDelete?.(uuid, known ? 'deleted' : 'missed', told);
    return known ? settings.deleteStatus : 404;
  }

  function identify(request: IncomingMessage, url: URL): FakeCall {
    const path = url.pathname;
    const deletePrefix = `${basePath}/sandbox/accounts/`;
    let operation: FakeCall['operation'] = 'other';
    if (request.method === 'GET' && path === `${basePath}/current_user/accounts`) operation = 'list';
    if (request.method === 'DELETE' && path.startsWith(deletePrefix)) operation = 'delete';
    const correlationId = request.headers['x-correlation-id'];
    return {
      operation,
      method: request.method ?? '',
      path,
      uuid: operation === 'delete' ? decodeURIComponent(path.slice(deletePrefix.length)) : undefined,
      correlationId: Array.isArray(correlationId) ? correlationId[0] : correlationId,
      accept: request.headers.accept,
    };
  }

  /** Until it has had its effect or failed: a caller that gives up ends nothing here. */
  async function underWay(uuid: string | undefined, work: () => Promise<void>): Promise<void> {
    if (uuid === undefined) return await work();
    const before = running.get(uuid) ?? 0;
    if (before > 0) overlaps.push(uuid);
    running.set(uuid, before + 1);
    await work().finally(() => running.set(uuid, (running.get(uuid) ?? 1) - 1));
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const call = identify(request, url);
    calls.push(call);
    arrivals.emit('call');
    await underWay(call.uuid, () => carryOut(call, url, request, response));
  }

  async function carryOut(
    call: FakeCall,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.headers.authorization !== `Token ${token}`)
      return sendJson(response, 401, '{"error":"token"}');
    if (call.operation === 'other') return sendJson(response, 404, '{"error":"no such path"}');

    const fault = faults.take(call.operation, call.uuid);
    if (fault?.kind === 'slow') await delay(fault.delayMs);
    else if (fault?.kind === 'hold') await fault.until;
    else if (fault !== undefined) {
      // A fault strikes before the effect unless it says otherwise: that is the difference a retry has to survive.
      if (call.uuid !== undefined) {
        if (fault.afterEffect === true) effect(call.uuid, false);
        else onDelete?.(call.uuid, 'failed', false);
      }
      return spoil(response, fault, listing(url));
    }
    if (call.uuid === undefined) return sendJson(response, 200, listing(url));
    response.writeHead(effect(call.uuid, true)).end();
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}${basePath}`;

  return {
    baseUrl,
    /** The inventory, by uuid. */
    accounts,
    /** What deletes did, by uuid. */
    deletes,
    /** Every request, in order of arrival. */
    calls,
    /** Deletes that began while another of the same account was under way, by uuid. */
    overlaps,
    faults,
    settings,

    /** Puts accounts into the inventory and hands them back. */
    add(...added: FakeAccount[]): FakeAccount[] {
      for (const one of added) accounts.set(one.id ? uuidOf(one) : randomUUID(), one);
      return added;
    },

    /** Resolves once so many calls of that kind have arrived; rejects when they have not within five seconds. */
    async arrived(operation: FakeCall['operation'], count: number): Promise<void> {
      const signal = AbortSignal.timeout(5000);
      while (calls.filter((call) => call.operation === operation).length < count) {
        await once(arrivals, 'call', { signal });
      }
    },

    /** Cuts every connection and stops listening. */
    async close(): Promise<void> {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function sendJson(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
}

/** Answers as `fault` says; `right` is the JSON that would have been right. */
function spoil(response: ServerResponse, fault: SpoilingFault, right: string): void {
  const half = right.slice(0, Math.ceil(right.length / 2));
  const { kind } = fault;
  if (kind === 'hang') return;
  if (kind === 'lost') response.destroy();
  else if (kind === 'missing_results') sendJson(response, 200, '{"items":[]}');
  else if (kind === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><title>Log in</title>');
  } else if (kind === 'respond') {
    const headers = { 'content-type': 'application/json', ...fault.headers };
    response.writeHead(fault.status, headers).end(fault.body);
  } else {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(right) };
    response.writeHead(200, headers).write(half, () => {
      if (kind === 'cut') response.destroy();
    });
  }
}
