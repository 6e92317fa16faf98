import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { type SentWrites, writesOf } from './dynamo-writes.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

/** How many write units a second the table takes. What is left of a second's units may be used in the next one. */
export interface Throughput {
  /** By the partition's key; undefined: as many as are sent. */
  partition?: (pk: string) => number | undefined;
  /** Of all partitions together. */
  table?: number;
}

/** How long the calls take before they are carried out, milliseconds; a transaction's by the number of its items. */
export interface Latency {
  read: (random: SeededRandom) => number;
  write: (random: SeededRandom) => number;
  transaction: (items: number, random: SeededRandom) => number;
}

/** Which part of the calls, 0 to 1, comes to grief on its way; each call's lot is drawn anew, also when it is sent again. */
export interface Troubles {
  /** Carried out, and never answered. */
  lostAnswers?: number;
  /** Neither carried out nor answered. */
  lostCalls?: number;
  /** Carried out in time, and answered `lateMs` later. */
  lateAnswers?: number;
  lateMs?: number;
}

/** What became of the calls so far. */
export interface ProxyCounts {
  calls: number;
  reads: number;
  transactions: number;
  throttled: number;
  conflicts: number;
  /** Never answered. */
  lost: number;
  late: number;
}

/**
 * An HTTP proxy in front of a real engine that refuses and delays as DynamoDB does and local engines don't: partitions
 * and a table with a throughput, latencies, conflicts of transactions at work on the same item, calls and answers that are
 * lost.
 */
export interface DynamoProxy {
  readonly endpoint: string;
  readonly counts: Readonly<ProxyCounts>;
  /** From here on, with a full second's units in hand; `{}`: unlimited. */
  limitThroughput(throughput: Throughput): void;
  /** `undefined`: as fast as the engine is. */
  setLatency(latency: Latency | undefined): void;
  /** `{}`: none. */
  setTroubles(troubles: Troubles): void;
  clearCounts(): void;
  /** Drops what is on its way, and resolves when no socket and no timer is left. */
  close(): Promise<void>;
}

/** The 99th part of the calls takes so many times as long as the middle one. */
const P99_FACTOR = 4;
const NORMAL_P99 = 2.326;

/** A time with this median, log-normal as the times of far stores are. */
function aroundMs(medianMs: number, random: SeededRandom): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return medianMs * P99_FACTOR ** (normal / NORMAL_P99);
}

/** As DynamoDB's, seen from its own region. */
export const CLOUD_LATENCY: Latency = {
  read: (random) => aroundMs(3, random),
  write: (random) => aroundMs(5, random),
  transaction: (items, random) => aroundMs(10 + 0.35 * Math.max(0, items - 3), random),
};

const NO_COUNTS: ProxyCounts = {
  calls: 0,
  reads: 0,
  transactions: 0,
  throttled: 0,
  conflicts: 0,
  lost: 0,
  late: 0,
};

/** Starts a proxy that passes everything to the engine at `target`; latencies and troubles follow from `seed`. */
export async function startDynamoProxy(target: string, seed = 1): Promise<DynamoProxy> {
  const random = seededRandom(seed);
  const dice = random.fork();
  const agent = new Agent();
  const closing = new AbortController();
  const underWay = new Set<string>();
  let units = createUnits({});
  let latency: Latency | undefined;
  let troubles: Troubles = {};
  let counts = { ...NO_COUNTS };

  const latencyMs = (writes: SentWrites | undefined): number => {
    if (!latency) return 0;
    if (!writes) return latency.read(random);
    return writes.isTransaction ? latency.transaction(writes.items.length, random) : latency.write(random);
  };

  /** What happens to a call on its way. */
  function drawLot(): 'answer_lost' | 'call_lost' | 'late' | undefined {
    const { lostAnswers = 0, lostCalls = 0, lateAnswers = 0 } = troubles;
    const lot = dice.next();
    if (lot < lostAnswers + lostCalls) {
      counts.lost++;
      return lot < lostAnswers ? 'answer_lost' : 'call_lost';
    }
    if (lot >= lostAnswers + lostCalls + lateAnswers) return undefined;
    counts.late++;
    return 'late';
  }

  /** The refusal of each item, `None` where nothing is wrong with it; undefined: the call may pass. */
  function refusals({ items }: SentWrites): string[] | undefined {
    const conflicts = items.map(({ id }) => (underWay.has(id) ? 'TransactionConflict' : 'None'));
    if (conflicts.some((code) => code !== 'None')) {
      counts.conflicts++;
      return conflicts;
    }
    const fits = units.take(items);
    if (fits.every(Boolean)) return undefined;
    counts.throttled++;
    return fits.map((fit) => (fit ? 'None' : 'ThrottlingError'));
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const operation = String(incoming.headers['x-amz-target']).replace(/^.*\./, '');
    const writes = writesOf(operation, body);
    counts.calls++;
    if (!writes) counts.reads++;
    if (writes?.isTransaction) counts.transactions++;
    const lot = drawLot();
    if (lot === 'call_lost') return;
    const answer = await carryOut(incoming, body, writes);
    if (lot === 'answer_lost') return;
    if (lot === 'late') await delay(troubles.lateMs, undefined, { signal: closing.signal });
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(answer.body);
  }

  async function carryOut(
    { headers }: IncomingMessage,
    body: Buffer,
    writes: SentWrites | undefined,
  ): Promise<Answer> {
    const refused = writes && refusals(writes);
    const ids = refused || !writes?.isTransaction ? [] : writes.items.map(({ id }) => id);
    for (const id of ids) underWay.add(id);
    try {
      // Whether its caller still waits or not: what has arrived is carried out.
      await delay(latencyMs(writes), undefined, { signal: closing.signal });
      if (writes && refused) return toRefusal(writes, refused);
      const { host: _, connection: __, ...passed } = headers;
      const answer = await request(target, {
        method: 'POST',
        headers: passed as Record<string, string>,
        body,
        dispatcher: agent,
      });
      return { status: answer.statusCode, body: Buffer.from(await answer.body.arrayBuffer()) };
    } finally {
      for (const id of ids) underWay.delete(id);
    }
  }

  const server = createServer((incoming, response) => {
    // A caller that is gone and a proxy that closes: either way there is nobody to be told.
    serve(incoming, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get counts() {
      return counts;
    },
    limitThroughput(throughput) {
      units = createUnits(throughput);
    },
    setLatency(next) {
      latency = next;
    },
    setTroubles(next) {
      troubles = next;
    },
    clearCounts() {
      counts = { ...NO_COUNTS };
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await Promise.all([closed, agent.destroy()]);
    },
  };
}

interface Answer {
  status: number;
  body: Buffer | string;
}

/** DynamoDB's words for a transaction that is cancelled, and for a single write that is refused. */
function toRefusal({ isTransaction }: SentWrites, codes: readonly string[]): Answer {
  const [single = ''] = codes;
  const refusal = isTransaction
    ? {
        __type: 'com.amazonaws.dynamodb.v20120810#TransactionCanceledException',
        Message: `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes.join(', ')}]`,
        CancellationReasons: codes.map((Code) => ({ Code })),
      }
    : {
        __type: `com.amazonaws.dynamodb.v20120810#${single === 'ThrottlingError' ? 'ProvisionedThroughputExceededException' : 'TransactionConflictException'}`,
        message: `refused: ${single}`,
      };
  return { status: 400, body: JSON.stringify(refusal) };
}

/** Units in hand: of each partition and of the table up to one second's, refilled all the time. */
function createUnits({ partition = () => undefined, table }: Throughput) {
  const accounts = new Map<string, { left: number; atMs: number }>();

  function left(name: string, perSecond: number): { left: number } {
    const nowMs = performance.now();
    const account = accounts.get(name) ?? { left: perSecond, atMs: nowMs };
    account.left = Math.min(perSecond, account.left + ((nowMs - account.atMs) / 1000) * perSecond);
    account.atMs = nowMs;
    accounts.set(name, account);
    return account;
  }

  return {
    /** Whether there are units for each item, in their order; they are used up only if there are for all. */
    take(items: SentWrites['items']): boolean[] {
      const wanted = new Map<{ left: number }, number>();
      const fits = items.map(({ pk, units }) => {
        const perSecond = partition(pk);
        const from = [
          ...(perSecond === undefined ? [] : [left(`partition ${pk}`, perSecond)]),
          ...(table === undefined ? [] : [left('table', table)]),
        ];
        const fit = from.every((account) => account.left >= (wanted.get(account) ?? 0) + units);
        if (fit) for (const account of from) wanted.set(account, (wanted.get(account) ?? 0) + units);
        return fit;
      });
      if (fits.every(Boolean)) for (const [account, units] of wanted) account.left -= units;
      return fits;
    },
  };
}
