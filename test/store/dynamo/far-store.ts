import { randomUUID } from 'node:crypto';
import {
  type AttributeValue,
  type DynamoDBClient,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import { create } from '../../../src/domain/transitions.ts';
import { createStoreClient } from '../../../src/store/dynamo/client.ts';
import { createGrants } from '../../../src/store/sandboxes/grants.ts';
import { readKey } from '../../../src/store/sandboxes/idempotency.ts';
import { idempotencyPk } from '../../../src/store/sandboxes/keys.ts';
import { toGrant, toRequest } from '../../../src/usecases/leases/lease-request.ts';
import { rememberOpenKeys } from '../../../src/usecases/leases/open-keys.ts';
import { tryGrant } from '../../../src/usecases/leases/try-grant.ts';
import { inside } from '../../model/virtual-time.ts';
import { createWorld, drain } from '../../model/world.ts';
import { context, LOCAL_CREDENTIALS, TERMS } from '../../support/broker/core.ts';
import { CLOUD_LATENCY } from '../../support/dynamo-proxy.ts';
import { seededRandom } from '../../support/seeded-random.ts';

/** How a store is that exists in virtual time only. */
export interface FarStoreOptions {
  /** Milliseconds from a call to its answer, by the number of items that it writes; 0: a read. As DynamoDB's by default. */
  latencyMs?: (items: number) => number;
  /** It is an engine on this machine, which does one call after the other, whatever is sent to it. */
  isLocal?: boolean;
  /** Which part of the calls is lost, 0 to 1; every other of them is carried out all the same. */
  lost?: number;
  /** It stands still for so long from the first call of the storm on, milliseconds. */
  frozenMs?: number;
  seed?: number;
}

export interface FarStorm {
  /** Milliseconds of each caller until it had its lease, in ascending order. */
  tookMs: number[];
  /** Callers that were told something else. */
  failed: number;
  transactions: number;
  calls: number;
  /** The most transactions that were under way at once. */
  underWay: number;
  /** How long the senders of those calls had waited that they gave up, milliseconds. */
  gaveUpAfterMs: number[];
}

/** Milliseconds of virtual time from 2030 on, at which the clocks begin. */
const START_MS = Date.UTC(2030, 0, 1);

/**
 * So many callers at once who want a lease each, over the broker's own client, grants and tries, on a store in virtual time:
 * how it ends follows from the seed, and takes no time.
 */
export async function stormOnFarStore(callers: number, options: FarStoreOptions = {}): Promise<FarStorm> {
  const { lost = 0, isLocal = false, frozenMs = 0, seed = 1 } = options;
  const random = seededRandom(seed);
  const dice = random.fork();
  const latencyMs =
    options.latencyMs ??
    ((items) => (items === 0 ? CLOUD_LATENCY.read(random) : CLOUD_LATENCY.transaction(items, random)));
  const world = createWorld(0, START_MS);
  const process = world.createProcess('broker');
  const rest = (ms: number) => new Promise<void>((resolve) => void process.startTimer(ms, resolve));
  const items = new Map<string, Record<string, AttributeValue>>();
  const seen = { transactions: 0, calls: 0, underWay: 0, gaveUpAfterMs: [] as number[] };
  let transactionsUnderWay = 0;
  let busyUntilMs = START_MS;
  /** When the storm begins; what comes before it makes the broker acquainted with the store. */
  let stormFromMs = Number.POSITIVE_INFINITY;

  function carryOut(input: SentInput): object {
    if (input.Key) return { Item: items.get(nameOf(input.Key)) };
    const puts = (input.TransactItems ?? []).map(({ Put }) => Put);
    const before = puts.map((put) => items.get(nameOf(put.Item)));
    if (before.some((item) => item !== undefined)) {
      throw new TransactionCanceledException({
        message: 'cancelled',
        $metadata: { httpStatusCode: 400 },
        CancellationReasons: before.map((Item) =>
          Item ? { Code: 'ConditionalCheckFailed', Item } : { Code: 'None' },
        ),
      });
    }
    for (const { Item } of puts) items.set(nameOf(Item), Item);
    return {};
  }

  async function send({ input }: { input: SentInput }, { abortSignal }: { abortSignal: AbortSignal }) {
    const isTransaction = input.TransactItems !== undefined;
    const sentAtMs = world.nowMs();
    seen.calls++;
    if (isTransaction) {
      seen.transactions++;
      seen.underWay = Math.max(seen.underWay, ++transactionsUnderWay);
    }
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    givenUp.catch(() => undefined);
    abortSignal.addEventListener('abort', () => {
      seen.gaveUpAfterMs.push(world.nowMs() - sentAtMs);
      reject(Object.assign(new Error('Request aborted'), { name: 'AbortError' }));
    });
    const isLost = dice.chance(lost) && world.nowMs() >= stormFromMs;
    const neverArrives = isLost && dice.chance(0.5);
    const takesMs = latencyMs(input.TransactItems?.length ?? 0);
    const answer = (async () => {
      if (neverArrives) return await givenUp;
      const thawsInMs = stormFromMs + frozenMs - world.nowMs();
      if (thawsInMs > 0 && world.nowMs() >= stormFromMs) await rest(thawsInMs);
      if (isLocal) {
        busyUntilMs = Math.max(busyUntilMs, world.nowMs()) + takesMs;
        await rest(busyUntilMs - world.nowMs());
      } else await rest(takesMs);
      const result = carryOut(input);
      return isLost ? await givenUp : result;
    })();
    answer.catch(() => undefined);
    try {
      return await Promise.race([answer, givenUp]);
    } finally {
      if (isTransaction) transactionsUnderWay--;
    }
  }

  const client = createStoreClient({
    endpoint: 'http://127.0.0.1:9',
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
    table: 'far',
    ...(!isLocal && { shortestCallTimeoutMs: 1_000 }),
  });
  Object.assign(client.raw, { send } satisfies { send: unknown } as unknown as Pick<DynamoDBClient, 'send'>);

  const clock = { nowMs: () => world.nowMs() };
  const newId = () => randomUUID();
  const storm = inside(process, async () => {
    const { grant } = createGrants(client, 16);
    const deps = {
      store: { grant, get: async () => undefined, write: async () => false },
      readKey: (pk: string, signal: AbortSignal) => readKey(client, pk, clock.nowMs(), signal),
      readyList: { settle: () => undefined, giveBack: () => undefined } as never,
      openKeys: rememberOpenKeys(),
      clock,
      newId,
      terms: TERMS,
    };
    const lease = async (name: string) => {
      const request = toRequest(idempotencyPk, { principal: 'track', holder: name });
      const candidate = create(name, { name, externalId: name, metadata: {} }, clock.nowMs());
      const granting = toGrant(
        deps,
        request,
        candidate,
        { attempt: newId(), nowMs: clock.nowMs() },
        context(),
      );
      const ended = await tryGrant(deps, request, granting, new AbortController().signal).catch(
        () => 'failed',
      );
      return { isLeased: typeof ended === 'object', tookMs: world.nowMs() - stormFromMs };
    };
    for (let call = 0; call < 20; call++) {
      await lease(`before-${call}`);
      await deps.readKey('before', new AbortController().signal);
    }
    Object.assign(seen, { transactions: 0, calls: 0, underWay: 0 });
    stormFromMs = world.nowMs();
    return await Promise.all(Array.from({ length: callers }, (_, index) => lease(`h-${index}`)));
  });
  let endings: Awaited<typeof storm> | undefined;
  void storm.then((all) => {
    endings = all;
  });
  await drain();
  while (endings === undefined) await world.step();
  client.close();
  return {
    ...seen,
    tookMs: endings.map(({ tookMs }) => tookMs).sort((a, b) => a - b),
    failed: endings.filter(({ isLeased }) => !isLeased).length,
  };
}

interface SentInput {
  Key?: Record<string, AttributeValue>;
  TransactItems?: { Put: { Item: Record<string, AttributeValue> } }[];
}

const nameOf = ({ pk, sk }: Record<string, AttributeValue>): string => `${pk?.S} ${sk?.S}`;
