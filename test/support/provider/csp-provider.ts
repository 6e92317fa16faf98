import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { type CspProviderOptions, createCspProvider } from '../../../src/provider/csp.ts';
import { type Provider, ProviderError } from '../../../src/provider/provider.ts';
import { type FakeCspOptions, startFakeCsp } from './fake-csp.ts';
import type { FakeFault } from './fake-csp-faults.ts';

export const TOKEN = 'a-token-nobody-may-see';

/** A CSP provider that closes itself after the test; time-outs long enough for a busy machine. */
export function provide(options: Partial<CspProviderOptions> & { baseUrl: string }): Provider {
  const provider = createCspProvider({
    token: TOKEN,
    connectTimeoutMs: 5000,
    readTimeoutMs: 5000,
    correlationId: () => undefined,
    ...options,
  });
  onTestFinished(() => provider.close());
  return provider;
}

/** A fake CSP and a provider that talks to it. */
export async function setUp(
  options: Partial<CspProviderOptions> = {},
  fakeOptions: Partial<FakeCspOptions> = {},
) {
  const csp = await startFakeCsp({ token: TOKEN, ...fakeOptions });
  onTestFinished(() => csp.close());
  return { csp, provider: provide({ baseUrl: csp.baseUrl, ...options }) };
}

/** The port of a server of bytes: what it does with a connection is up to `onSocket`. */
export async function rawServer(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    onSocket(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const never = () => new AbortController().signal;
/** What a provider lists, as objects. */
export async function list(provider: Provider, signal = never()) {
  const { items, invalid } = await provider.listSandboxes(signal);
  return { items: [...items], invalid };
}
export const remove = (provider: Provider, externalId: unknown, signal = never()) =>
  provider.deleteSandbox({ sandboxId: 'any', externalId: String(externalId), name: 'any' }, signal);

/** The error a call ends with; throws when it ends otherwise. */
export async function failureOf(call: Promise<unknown>): Promise<ProviderError> {
  const error = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProviderError)) throw error;
  return error;
}

/** A CSP answer of this JSON. */
export const json = (body: unknown): FakeFault => ({
  kind: 'respond',
  status: 200,
  body: JSON.stringify(body),
});
