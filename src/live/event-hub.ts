import { Readable } from 'node:stream';

/** An event as the source of it knows it. */
export interface LiveEvent {
  /** A name such as `alert`; one line. */
  type: string;
  data: unknown;
}

/** Server-sent events for everybody who listens at the moment, in bounded memory. */
export interface EventHub {
  /** To all streams, and kept for those who come back. */
  publish(event: LiveEvent): void;
  /** To all streams. What was said before it is outdated by it, so nobody needs it later. */
  announce(event: LiveEvent): void;
  /**
   * A new stream, beginning with `greeting`. `lastEventId`: what came after it is sent again; what cannot be known any
   * more is owned up to in the `hello` event. Undefined when there are too many streams, or none any more.
   */
  open(greeting: readonly LiveEvent[], lastEventId?: string): Readable | undefined;
  /** Streams that are open. */
  readonly size: number;
  /** Ends all streams, and opens no more. */
  close(): void;
}

export interface EventHubOptions {
  /** Tells this process's ids from another's: a client may come back to another replica. */
  name: string;
  maxStreams?: number;
  /** What a slow reader may leave unread before it is dropped, bytes. */
  maxUnreadBytes?: number;
  /** Events kept for those who come back. */
  keep?: number;
  /** After so much silence a comment tells that the connection is alive, milliseconds. */
  heartbeatMs?: number;
}

export const HUB_LIMITS = { maxStreams: 50, maxUnreadBytes: 512 * 1024, keep: 200, heartbeatMs: 5_000 };

export function createEventHub({ name, ...options }: EventHubOptions): EventHub {
  const { maxStreams, maxUnreadBytes, keep, heartbeatMs } = { ...HUB_LIMITS, ...options };
  const streams = new Set<Readable>();
  const kept: { number: number; text: string }[] = [];
  let number = 0;
  let isClosed = false;
  let heartbeat: NodeJS.Timeout | undefined;

  const idOf = (of: number): string => `${name}.${of}`;
  const frame = ({ type, data }: LiveEvent, id: number): string =>
    `id: ${idOf(id)}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;

  function send(stream: Readable, text: string): void {
    stream.push(text);
    // Whoever does not read gets no more: what piles up is this process's memory.
    if (stream.readableLength > maxUnreadBytes) stream.destroy();
  }
  const sendAll = (text: string) => {
    for (const stream of streams) send(stream, text);
  };

  function leave(stream: Readable): void {
    streams.delete(stream);
    if (streams.size > 0) return;
    clearInterval(heartbeat);
    heartbeat = undefined;
  }

  /** What a client that has seen `lastEventId` has missed; undefined when that is not known. */
  function missed(lastEventId: string): string[] | undefined {
    const seen = Number(/\.(\d{1,15})$/.exec(lastEventId)?.[1] ?? Number.NaN);
    const forgotten = number - kept.length;
    const isOurs = lastEventId === idOf(seen) && seen <= number;
    if (!isOurs || seen < forgotten) return undefined;
    return kept.filter((event) => event.number > seen).map(({ text }) => text);
  }

  return {
    publish(event) {
      number++;
      const text = frame(event, number);
      kept.push({ number, text });
      if (kept.length > keep) kept.shift();
      sendAll(text);
    },
    announce(event) {
      if (streams.size > 0) sendAll(frame(event, number));
    },
    open(greeting, lastEventId) {
      if (isClosed || streams.size >= maxStreams) return undefined;
      const stream = new Readable({ read: () => undefined });
      const again = lastEventId === undefined ? [] : missed(lastEventId);
      send(stream, frame({ type: 'hello', data: { missed_nothing: again !== undefined } }, number));
      for (const text of again ?? []) send(stream, text);
      for (const event of greeting) send(stream, frame(event, number));
      streams.add(stream);
      stream.once('close', () => leave(stream));
      heartbeat ??= setInterval(() => sendAll(': alive\n\n'), heartbeatMs);
      return stream;
    },
    get size() {
      return streams.size;
    },
    close() {
      isClosed = true;
      for (const stream of streams) stream.push(null);
      streams.clear();
      clearInterval(heartbeat);
    },
  };
}
