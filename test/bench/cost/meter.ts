import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { type Image, type WriteUnits, writeUnits } from './units.ts';

/** What some calls have cost. */
export interface Cost {
  calls: number;
  /** Read units. */
  reads: number;
  /** Write units, and how many of them would be added if a transaction doubled index entries, too. */
  writes: number;
  indexesDoubled: number;
  /** Those of `writes` that are spent in the partition of a sandbox. */
  bucketWrites: number;
  byOperation: Record<string, number>;
  /** Writes of items that are no sandbox's, by their partition. */
  written: Record<string, number>;
}

/** An HTTP proxy in front of an engine that adds up what the calls through it cost on DynamoDB. */
export interface Meter {
  readonly endpoint: string;
  /** From here on. */
  reset(): void;
  readonly cost: Readonly<Cost>;
  close(): Promise<void>;
}

export const NO_COST: Cost = {
  calls: 0,
  reads: 0,
  writes: 0,
  indexesDoubled: 0,
  bucketWrites: 0,
  byOperation: {},
  written: {},
};

interface Action {
  Item?: Image;
  Key?: Image;
}
interface Body extends Action {
  TableName?: string;
  TransactItems?: Record<string, Action & { TableName: string }>[];
}
interface Consumed {
  CapacityUnits: number;
  Table?: { CapacityUnits: number };
}

const SINGLE_WRITES = ['PutItem', 'UpdateItem', 'DeleteItem'];
const READS = ['GetItem', 'Query', 'Scan', 'BatchGetItem'];
const HEADERS = { 'content-type': 'application/x-amz-json-1.0' };
const BATCH = 100;

/**
 * Starts one. What single calls cost the engine says (`ReturnConsumedCapacity`); of writes it is held against our own
 * rules, so that these are known to be right where they alone decide: for transactions, from the items before and after,
 * and for conditions that fail, which are charged and not told of. Nobody else may write these items meanwhile.
 */
export async function startMeter(target: string): Promise<Meter> {
  const agent = new Agent();
  let cost = structuredClone(NO_COST);

  const send = async (headers: Record<string, string>, body: string | Buffer) => {
    const answer = await request(target, { method: 'POST', headers, body, dispatcher: agent });
    return { status: answer.statusCode, body: await answer.body.text() };
  };

  /** The items as they are, in the keys' order. */
  async function images(
    headers: Record<string, string>,
    table: string,
    keys: Image[],
  ): Promise<(Image | undefined)[]> {
    const found = new Map<string, Image>();
    for (let start = 0; start < keys.length; start += BATCH) {
      const RequestItems = { [table]: { Keys: keys.slice(start, start + BATCH), ConsistentRead: true } };
      const answer = await send(
        { ...headers, 'x-amz-target': 'DynamoDB_20120810.BatchGetItem' },
        JSON.stringify({ RequestItems }),
      );
      const { Responses } = JSON.parse(answer.body) as { Responses: Record<string, Image[]> };
      for (const item of Responses[table] ?? []) found.set(nameOf(item), item);
    }
    return keys.map((key) => found.get(nameOf(key)));
  }

  function addWrite(key: Image, units: WriteUnits, isTransaction: boolean): void {
    cost.writes += units.item + units.indexes;
    if (isTransaction) cost.indexesDoubled += units.indexes;
    const pk = key['pk']?.S ?? '';
    if (pk.startsWith('B#')) cost.bucketWrites += units.item + units.indexes;
    else cost.written[pk] = (cost.written[pk] ?? 0) + 1;
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { host: _, connection: __, 'content-length': ___, ...rest } = incoming.headers;
    const headers = rest as Record<string, string>;
    const operation = String(headers['x-amz-target']).replace(/^.*\./, '');
    const sent = Buffer.concat(chunks);
    const isTransaction = operation === 'TransactWriteItems';
    const isWrite = isTransaction || SINGLE_WRITES.includes(operation);
    if (!isWrite && !READS.includes(operation)) {
      const answer = await send(headers, sent);
      response.writeHead(answer.status, HEADERS).end(answer.body);
      return;
    }
    const body = JSON.parse(sent.toString()) as Body;
    const actions = isTransaction
      ? (body.TransactItems ?? []).flatMap((each) => Object.values(each))
      : [{ ...body, TableName: body.TableName ?? '' }];
    const keys = isWrite ? actions.map(({ Item, Key = Item ?? {} }) => keyOf(Key)) : [];
    const table = actions[0]?.TableName ?? '';
    const before = await images(headers, table, keys);
    const answer = await send(headers, JSON.stringify({ ...body, ReturnConsumedCapacity: 'INDEXES' }));
    const isDone = answer.status === 200;
    const after = isDone ? await images(headers, table, keys) : before;
    cost.calls++;
    cost.byOperation[operation] = (cost.byOperation[operation] ?? 0) + 1;
    const units = keys.map((_key, index) => writeUnits(before[index], after[index], { isTransaction }));
    for (const [index, each] of units.entries()) addWrite(keys[index] ?? {}, each, isTransaction);
    if (isDone && !isTransaction) {
      const consumed = consumedBy(answer.body);
      if (!isWrite) cost.reads += consumed;
      else if (consumed !== (units[0]?.item ?? 0) + (units[0]?.indexes ?? 0)) {
        throw new Error(
          `${operation} costs ${consumed} by the engine, and ${JSON.stringify(units[0])} by our rules`,
        );
      }
    }
    response.writeHead(answer.status, HEADERS).end(answer.body);
  }

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((error: unknown) => {
      process.exitCode = 1;
      console.error(error);
      response.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reset() {
      cost = structuredClone(NO_COST);
    },
    get cost() {
      return cost;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await Promise.all([closed, agent.destroy()]);
    },
  };
}

const keyOf = ({ pk, sk }: Image): Image => ({ ...(pk && { pk }), ...(sk && { sk }) });
const nameOf = ({ pk, sk }: Image): string => `${pk?.S} ${sk?.S}`;

function consumedBy(answer: string): number {
  const { ConsumedCapacity } = JSON.parse(answer) as { ConsumedCapacity?: Consumed | Consumed[] };
  const all = ConsumedCapacity === undefined ? [] : [ConsumedCapacity].flat();
  return all.reduce((sum, { CapacityUnits }) => sum + CapacityUnits, 0);
}
