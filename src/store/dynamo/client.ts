import {
  BatchGetItemCommand,
  DeleteItemCommand,
  type DeleteItemCommandInput,
  DynamoDBClient,
  type DynamoDBClientConfig,
  GetItemCommand,
  type GetItemCommandInput,
  PutItemCommand,
  type PutItemCommandInput,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
  ScanCommand,
  type ScanCommandInput,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { UndiciHttpHandler } from '@smithy/undici-http-handler';
import { isGivenUp, limitTime, untilAborted } from '../../time-limit.ts';
import { createAnswerTimes } from './answer-times.ts';
import { createCongestionLimit } from './congestion.ts';
import {
  fromDriver,
  fromItem,
  type Item,
  type Plain,
  type TransactItems,
  toDriver,
  toDriverItems,
} from './documents.ts';
import {
  isAnswer,
  isOutOfReach,
  type OnRetry,
  retryUnavailable,
  translate,
  translateOnce,
} from './faults.ts';
import { type CallLimit, createPatience } from './patience.ts';
import { learnTime, leaveOutTokens, leaveOutUnused, tellCredentialsApart, UNSIGNED } from './sdk-path.ts';
import type { StoreTime } from './store-time.ts';

export type Key = { pk: string; sk: string };
type InTable<Input> = Omit<Plain<Input>, 'TableName'>;

export interface StoreClientOptions {
  /** `undefined`: AWS, found by region. */
  endpoint?: string | undefined;
  region: string;
  /** `undefined`: the default credential chain; `nobodys`: the store is a local engine, which nobody signs in to. */
  credentials?: { accessKeyId: string; secretAccessKey: string } | 'nobodys' | undefined;
  table: string;
  /** Calls under way at once at the most, and the number of sockets; more wait their turn. A slow store gets fewer. */
  maxConcurrentCalls?: number;
  /** Limit for one call from being sent to being answered, milliseconds. */
  callTimeoutMs?: number;
  /**
   * As little as this while the store's answers allow it; not below `callTimeoutMs` by default. Not for an engine on this
   * machine: others at work on it make it slow from one moment to the next, whatever its answers took.
   */
  shortestCallTimeoutMs?: number;
  /** Limit for a call with its retries, milliseconds; also for its waiting, unless the store answers others meanwhile. */
  totalTimeoutMs?: number;
  /** Learns the store's time from its answers; absent: nothing is known of it. */
  time?: StoreTime | undefined;
  /** Told about every call that was sent, retries included. `outcome` is `success`, `given_up` by its caller, or an error's name. */
  observe?: (operation: string, outcome: string, seconds: number) => void;
  /** Told that a call's attempt (1, 2, …) failed and that another follows after `waitMs`. */
  onRetry?: ((operation: string, attempt: number, error: unknown, waitMs: number) => void) | undefined;
}

/** A part of a query's or a scan's items; with `lastKey` there are more. */
interface Page {
  items: Item[];
  count: number;
  /** How many were read for it, those that a filter left out included. */
  lookedAt: number;
  lastKey?: Item | undefined;
}

/** The table as the store's modules see it: typed calls, translated errors, bounded time. */
export interface StoreClient {
  readonly table: string;
  /** For table administration only. */
  readonly raw: DynamoDBClient;
  /** The store's time, as far as it is learnt. */
  readonly time: StoreTime | undefined;
  /** Whether the last call that was sent got no answer, or none that one could go by. */
  isSilent(): boolean;
  get(key: Key, signal?: AbortSignal): Promise<Item | undefined>;
  /** Those of up to 100 items that are there, in no order. */
  getAll(keys: readonly Key[], signal?: AbortSignal): Promise<Item[]>;
  query(input: InTable<QueryCommandInput>, signal?: AbortSignal): Promise<Page>;
  /** Reads the whole table page by page, not consistent; for chores, never for decisions. */
  scan(input: InTable<ScanCommandInput>, signal?: AbortSignal): Promise<Page>;
  put(input: InTable<PutItemCommandInput>, signal?: AbortSignal): Promise<void>;
  update(input: InTable<UpdateItemCommandInput>, signal?: AbortSignal): Promise<Item | undefined>;
  delete(input: InTable<DeleteItemCommandInput>, signal?: AbortSignal): Promise<void>;
  transact(items: TransactItems, signal?: AbortSignal): Promise<void>;
  /**
   * Sends a transaction once. The reasons of its `TransactionCancelledError` also say for which items there was no room; a
   * {@link StoreThrottledError}: for none of it.
   */
  transactOnce(items: TransactItems, signal?: AbortSignal): Promise<void>;
  close(): void;
}

const DEFAULT_MAX_CONCURRENT_CALLS = 64;
const DEFAULT_CALL_TIMEOUT_MS = 3_000;
const DEFAULT_TOTAL_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 1_000;
/** How long a connection is kept without a call, unless the store says otherwise. */
const IDLE_CONNECTION_MS = 30_000;
/** A call that took this part of its time limit shows that the store has more to do than it can. */
const SLOW_PART = 4;

function credentialsOf(credentials: StoreClientOptions['credentials']): DynamoDBClientConfig {
  if (credentials === undefined) return {};
  // The SDK insists on something to sign with.
  if (credentials === 'nobodys') return { credentials: { ...NOBODY }, signer: UNSIGNED };
  // A copy: the SDK writes into it where it came from, and what the configuration has frozen would not let it.
  return { credentials: { ...credentials } };
}

const NOBODY = { accessKeyId: 'local', secretAccessKey: 'local' };

/**
 * A client for one table.
 *
 * Every call throws {@link StoreUnavailableError} when the store cannot be reached or takes too long, after a few
 * bounded retries, or throttles until the call's time is over; `ConditionFailedError` and `TransactionCancelledError` for conditions; anything else as it
 * came. A write that was retried may have been applied by the attempt whose answer was lost: writers recognise their
 * own write (`write_id`, `attempt`) in the item that a failed condition returns.
 */
export function createStoreClient(options: StoreClientOptions): StoreClient {
  const maxConcurrentCalls = options.maxConcurrentCalls ?? DEFAULT_MAX_CONCURRENT_CALLS;
  const callTimeoutMs = options.callTimeoutMs ?? DEFAULT_CALL_TIMEOUT_MS;
  const totalTimeoutMs = options.totalTimeoutMs ?? DEFAULT_TOTAL_TIMEOUT_MS;
  const raw = new DynamoDBClient({
    region: options.region,
    ...(options.endpoint && { endpoint: options.endpoint }),
    ...credentialsOf(options.credentials),
    // Retries are ours: the SDK knows neither our deadlines nor conflicts and cancellations.
    maxAttempts: 1,
    requestHandler: new UndiciHttpHandler({
      dispatcher: {
        connections: maxConcurrentCalls,
        connect: { timeout: CONNECT_TIMEOUT_MS },
        keepAliveTimeout: IDLE_CONNECTION_MS,
      },
    }),
  });
  leaveOutTokens(raw);
  if (options.credentials === undefined) tellCredentialsApart(raw);
  leaveOutUnused(raw);
  if (options.time) learnTime(raw, options.time);
  const limit = createCongestionLimit({ max: maxConcurrentCalls, slowMs: callTimeoutMs / SLOW_PART });
  const patience = createPatience(totalTimeoutMs);
  const answerTimes = createAnswerTimes({
    shortestMs: options.shortestCallTimeoutMs ?? callTimeoutMs,
    longestMs: callTimeoutMs,
  });
  let isSilent = false;

  function noteAnswer(operation: string, startedMs: number): void {
    patience.answered();
    answerTimes.answered(operation, startedMs);
  }

  /** One attempt, in its place among the concurrent ones. */
  const attempt = async <T>(
    operation: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<T>,
    overall: CallLimit,
    signal: AbortSignal | undefined,
  ) => {
    overall.signal.throwIfAborted();
    overall.sent();
    const timer = limitTime(answerTimes.limitMs(operation), overall.signal);
    const startedMs = performance.now();
    let outcome = 'success';
    try {
      const answer = await send({ abortSignal: timer.signal });
      noteAnswer(operation, startedMs);
      isSilent = false;
      return answer;
    } catch (error) {
      if (isAnswer(error)) noteAnswer(operation, startedMs);
      // The store is not to blame for a caller that goes away.
      const isGivenUpByCaller = signal !== undefined && isGivenUp(signal);
      if (!isGivenUpByCaller) {
        isSilent = isOutOfReach(error);
        if (isSilent) answerTimes.unanswered(operation, startedMs);
      }
      outcome = isGivenUpByCaller ? 'given_up' : error instanceof Error ? error.name : 'unknown';
      throw error;
    } finally {
      timer.clear();
      overall.waits();
      options.observe?.(operation, outcome, (performance.now() - startedMs) / 1000);
    }
  };

  const call = async <T>(
    operation: string,
    send: (options: { abortSignal: AbortSignal }) => Promise<T>,
    signal?: AbortSignal,
    { once = false } = {},
  ): Promise<T> => {
    const overall = patience.limit(signal);
    const inTurn = () =>
      untilAborted(
        limit.run(operation, () => attempt(operation, send, overall, signal)),
        overall.signal,
      );
    try {
      if (once) return await inTurn();
      const onRetry: OnRetry = (...retry) => options.onRetry?.(operation, ...retry);
      return await retryUnavailable(inTurn, overall.signal, onRetry);
    } catch (error) {
      throw (once ? translateOnce : translate)(error, overall.signal);
    } finally {
      overall.clear();
    }
  };

  const transact = async (items: TransactItems, signal: AbortSignal | undefined, how: { once: boolean }) => {
    const command = new TransactWriteItemsCommand({ TransactItems: toDriverItems(items) });
    await call('TransactWriteItems', (options) => raw.send(command, options), signal, how);
  };

  const table = options.table;
  return {
    table,
    raw,
    time: options.time,
    isSilent: () => isSilent,
    async get(key, signal) {
      const command = new GetItemCommand(
        toDriver<GetItemCommandInput>({ TableName: table, Key: key, ConsistentRead: true }),
      );
      return fromDriver((await call('GetItem', (options) => raw.send(command, options), signal)).Item);
    },
    async getAll(keys, signal) {
      const items: Item[] = [];
      let left = keys.map((key) => marshall(key));
      // An answer has at least one of those it was asked for, or none of the rest has room and it is an error.
      while (left.length > 0) {
        const command = new BatchGetItemCommand({
          RequestItems: { [table]: { Keys: left, ConsistentRead: true } },
        });
        const answer = await call('BatchGetItem', (options) => raw.send(command, options), signal);
        items.push(...(answer.Responses?.[table] ?? []).map(fromItem));
        left = answer.UnprocessedKeys?.[table]?.Keys ?? [];
      }
      return items;
    },
    async query(input, signal) {
      const command = new QueryCommand(
        toDriver<QueryCommandInput>({ TableName: table, ConsistentRead: true, ...input }),
      );
      return toPage(await call('Query', (options) => raw.send(command, options), signal));
    },
    async scan(input, signal) {
      const command = new ScanCommand(toDriver<ScanCommandInput>({ TableName: table, ...input }));
      return toPage(await call('Scan', (options) => raw.send(command, options), signal));
    },
    async put(input, signal) {
      const command = new PutItemCommand(toDriver<PutItemCommandInput>({ TableName: table, ...input }));
      await call('PutItem', (options) => raw.send(command, options), signal);
    },
    async update(input, signal) {
      const command = new UpdateItemCommand(toDriver<UpdateItemCommandInput>({ TableName: table, ...input }));
      return fromDriver(
        (await call('UpdateItem', (options) => raw.send(command, options), signal)).Attributes,
      );
    },
    async delete(input, signal) {
      const command = new DeleteItemCommand(toDriver<DeleteItemCommandInput>({ TableName: table, ...input }));
      await call('DeleteItem', (options) => raw.send(command, options), signal);
    },
    transact: (items, signal) => transact(items, signal, { once: false }),
    transactOnce: (items, signal) => transact(items, signal, { once: true }),
    close: () => raw.destroy(),
  };
}

const toPage = ({ Items, Count, ScannedCount, LastEvaluatedKey }: QueryCommandOutput): Page => ({
  items: Items?.map(fromItem) ?? [],
  count: Count ?? 0,
  lookedAt: ScannedCount ?? Count ?? 0,
  lastKey: fromDriver(LastEvaluatedKey),
});
