import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  createWebhookHttp,
  WebhookError,
  type WebhookHttpOptions,
} from '../../../src/safety/alerts/webhook-http.ts';
import { type Notification, webhookSignature } from '../../../src/safety/alerts/webhook-payload.ts';
import { raised } from '../../support/broker/alerts.ts';
import { createFakeClock } from '../../support/broker/core.ts';
import { type Reaction, startReceiver } from '../../support/broker/webhook-receiver.ts';
import { rawServer } from '../../support/provider/csp-provider.ts';

const NOW_MS = Date.UTC(2030, 0, 1, 9, 30);
const SECRET = 'a-signing-secret';
const never = () => new AbortController().signal;

function open(options: Partial<WebhookHttpOptions> & { url: string }) {
  const http = createWebhookHttp({ format: 'generic', clock: createFakeClock(NOW_MS), ...options });
  onTestFinished(() => http.close());
  return {
    http,
    send: (notification: Partial<Notification> = {}, signal = never()) =>
      http.send({ alert: raised(), swallowed: 0, ...notification }, signal),
  };
}

async function failureOf(call: Promise<unknown>): Promise<WebhookError> {
  const error = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof WebhookError)) throw error;
  return error;
}

describe('a notification', () => {
  test.each(['generic', 'slack'] as const)('brings along where it says what to do, as %s', async (format) => {
    const receiver = await startReceiver({ kind: 'answer', status: 204 });
    const { send } = open({
      url: receiver.url,
      format,
      runbookOf: (reason) => `https://wiki.example/#${reason}`,
    });
    await send();
    const runbook = 'https://wiki.example/#shrink_guard';
    expect(receiver.requests[0]?.json).toMatchObject(
      format === 'generic'
        ? { runbook }
        : {
            blocks: expect.arrayContaining([
              { type: 'section', text: expect.objectContaining({ text: runbook }) },
            ]),
          },
    );
  });

  test('is the alert as JSON, with how many were swallowed and where it comes from', async () => {
    const receiver = await startReceiver({ kind: 'answer', status: 204 });
    const { send } = open({ url: receiver.url });
    const alert = raised({ atMs: NOW_MS + 999, context: { text: 'ä€😀', list: [1, null] } });
    expect(await send({ alert, swallowed: 4 })).toEqual({ status: 204 });
    const [request] = receiver.requests;
    expect(request).toMatchObject({ method: 'POST', path: '/services/T000/B000/s3cret-path' });
    expect(request?.json).toEqual({
      id: alert.id,
      timestamp: NOW_MS / 1000,
      task: 'sync',
      reason: 'shrink_guard',
      severity: 'critical',
      context: { text: 'ä€😀', list: [1, null] },
      swallowed: 4,
      replica: 'replica-1',
      service: 'sandbox-broker',
    });
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-broker-alert-id': alert.id,
      'x-broker-timestamp': String(NOW_MS / 1000),
    });
  });

  test('is signed over its timestamp and its body as they are sent', async () => {
    const receiver = await startReceiver();
    await open({ url: receiver.url, secret: SECRET }).send();
    const [request] = receiver.requests;
    const timestamp = Number(request?.headers['x-broker-timestamp']);
    const signature = request?.headers['x-broker-signature'];
    expect(signature).toMatch(/^v1=[0-9a-f]{64}$/);
    expect(signature).toBe(webhookSignature(SECRET, timestamp, request?.body ?? ''));
    expect(signature).not.toBe(webhookSignature(SECRET, timestamp + 1, request?.body ?? ''));
    expect(signature).not.toBe(webhookSignature(SECRET, timestamp, `${request?.body} `));
    expect(signature).not.toBe(webhookSignature('another', timestamp, request?.body ?? ''));
  });

  test("has a signature that is the HMAC-SHA256 of an outsider's making, too", () => {
    // printf '1900000000.{"a":1}' | openssl dgst -sha256 -hmac a-signing-secret
    expect(webhookSignature(SECRET, 1_900_000_000, '{"a":1}')).toBe(
      'v1=cd4c748bc36927312adf8389d11c0a0a784d5aa399062db889ff182ea76c8809',
    );
  });

  test('is not signed without a secret', async () => {
    const receiver = await startReceiver();
    await open({ url: receiver.url }).send();
    expect(receiver.requests[0]?.headers).not.toHaveProperty('x-broker-signature');
  });

  test("goes to the URL's path and query, with its user and password as a login", async () => {
    const receiver = await startReceiver();
    const url = receiver.origin.replace('//', '//us%40er:p%25ss@');
    await open({ url: `${url}/hook?key=k%20ey` }).send();
    const [request] = receiver.requests;
    expect(request?.path).toBe('/hook?key=k%20ey');
    const login = String(request?.headers.authorization).replace('Basic ', '');
    expect(Buffer.from(login, 'base64').toString()).toBe('us@er:p%ss');
  });
});

describe("Slack's format", () => {
  const messageOf = async (notification: Partial<Notification>) => {
    const receiver = await startReceiver();
    await open({ url: receiver.url, format: 'slack' }).send(notification);
    return receiver.requests[0]?.json as {
      text: string;
      blocks: { type: string; text?: { type: string; text: string }; elements?: { text: string }[] }[];
    };
  };

  test('says what happened, the details, and how many more there were', async () => {
    const alert = raised({ atMs: NOW_MS, context: { missing: 3, listed: [1, 2], error: 'gone' } });
    const { text, blocks } = await messageOf({ alert, swallowed: 7 });
    expect(text).toBe('🚨 CRITICAL sync: shrink_guard');
    expect(blocks.map(({ type }) => type)).toEqual(['header', 'section', 'context']);
    expect(blocks[0]?.text?.text).toBe('🚨 CRITICAL sync: shrink_guard');
    expect(blocks[1]?.text?.text).toBe(
      'missing: 3\nlisted: [1,2]\nerror: gone\nand 7 more like this since the last message',
    );
    expect(blocks[2]?.elements?.[0]?.text).toBe(
      `sandbox-broker · 2030-01-01T09:30:00.000Z · replica-1 · ${alert.id}`,
    );
  });

  test('lets no context mention a channel or pass for a link', async () => {
    const evil = '<!channel> <https://evil.example|click> & *bold*';
    const { text, blocks } = await messageOf({ alert: raised({ reason: evil, context: { evil } }) });
    expect(text).toContain('&lt;!channel&gt; &lt;https://evil.example|click&gt; &amp;');
    for (const { text: block } of blocks) if (block) expect(block.type).toBe('plain_text');
  });

  test('keeps to the lengths that Slack accepts, and has no empty block', async () => {
    const long = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`f${n}`, 'x'.repeat(200)]));
    const alert = raised({ task: 't'.repeat(128), reason: 'r'.repeat(128), context: long });
    const { blocks } = await messageOf({ alert });
    expect(blocks[0]?.text?.text).toHaveLength(150);
    expect(blocks[1]?.text?.text).toHaveLength(3_000);
    const bare = await messageOf({ alert: raised({ context: {} }) });
    expect(bare.blocks.map(({ type }) => type)).toEqual(['header', 'context']);
  });
});

describe('a webhook that does not take it', () => {
  test.each<[string, Reaction, object]>([
    ['answers 500', { kind: 'answer', status: 500, body: 'oh no' }, { status: 500 }],
    ['answers 404', { kind: 'answer', status: 404 }, { status: 404 }],
    [
      'answers 429',
      { kind: 'answer', status: 429, headers: { 'retry-after': '7' } },
      { status: 429, retryAfterMs: 7_000 },
    ],
    ['cuts the connection', { kind: 'cut' }, { status: undefined }],
  ])('and %s is an error that says so', async (_name, reaction, expected) => {
    const receiver = await startReceiver(reaction);
    expect(await failureOf(open({ url: receiver.url }).send())).toMatchObject(expected);
    expect(receiver.requests).toHaveLength(1);
  });

  test("but redirects is not followed: the alert is nobody else's", async () => {
    const elsewhere = await startReceiver();
    const receiver = await startReceiver({
      kind: 'answer',
      status: 307,
      headers: { location: elsewhere.url },
    });
    expect(await failureOf(open({ url: receiver.url }).send())).toMatchObject({ status: 307 });
    expect(elsewhere.requests).toEqual([]);
  });

  test('but hangs is given up after two seconds, and its connection with it', async () => {
    const receiver = await startReceiver({ kind: 'hang' });
    const { send } = open({ url: receiver.url });
    const startedMs = performance.now();
    expect((await failureOf(send())).message).toBe('the webhook did not answer within 2000 ms');
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(1_950);
    expect(tookMs).toBeLessThan(4_000);
    receiver.react({ kind: 'answer', status: 200 });
    expect(await send()).toEqual({ status: 200 });
    expect(receiver.requests[0]?.cutAtMs).toBeDefined();
  });

  test('but takes it and never ends its answer is done with', async () => {
    const receiver = await startReceiver({ kind: 'drip' });
    const { send } = open({ url: receiver.url, timeoutMs: 200 });
    for (let n = 0; n < 6; n++) expect(await send()).toEqual({ status: 200 });
  });

  test('is not asked by a caller that has given up, and given up with it', async () => {
    const receiver = await startReceiver({ kind: 'hang' });
    const { send } = open({ url: receiver.url });
    await expect(send({}, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
    expect(receiver.requests).toEqual([]);
    const controller = new AbortController();
    const call = send({}, controller.signal);
    await receiver.arrived(1);
    controller.abort(new Error('over now'));
    await expect(call).rejects.toThrow('over now');
  });
});

test("no error shows the webhook's URL, its login or its query", async () => {
  const receiver = await startReceiver();
  const garbage = await rawServer((socket) => socket.end('s3cret-path is not HTTP\r\n\r\n'));
  const reactions: Reaction[] = [
    { kind: 'cut' },
    { kind: 'hang' },
    { kind: 'answer', status: 500, body: receiver.url },
  ];
  const hosts = [
    ...reactions.map(() => new URL(receiver.origin).host),
    `127.0.0.1:${garbage}`,
    '127.0.0.1:9',
  ];
  for (const [index, host] of hosts.entries()) {
    receiver.react(reactions[index] ?? { kind: 'hang' });
    const { send } = open({
      url: `http://user:s3cret-pass@${host}/s3cret-path?k=s3cret-key`,
      timeoutMs: 300,
    });
    expect(inspect(await failureOf(send()), { depth: 20, showHidden: true })).not.toContain('s3cret');
  }
  for (const url of ['s3cret', 'ftp://s3cret', 'http://']) {
    expect(() => open({ url })).toThrow(new RangeError('url must be an HTTP(S) URL'));
  }
});
