import type { Caller } from '../client/call.ts';
import { BrokerError } from '../client/index.ts';
import { pause } from '../client/waiting.ts';
import { createEventParser, type ServerEvent } from '../console/page/broker/event-parser.ts';
import { as } from './answers.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';

interface FollowOptions {
  call: Caller;
  onEvent: (type: string, data: unknown) => void;
  /** The stream broke off; it is opened again. */
  onBreak: (why: string) => void;
  /** Until it fires. */
  signal: AbortSignal;
}

/** The broker gives a sign of life every five seconds. */
const SILENCE_MS = 17_000;
const AGAIN_AFTER_MS = 1_000;

/**
 * Follows the broker's stream of events over every break, going on behind the last event that was seen. Throws what refuses
 * it for good, and what keeps it from beginning at all.
 */
export async function follow({ call, onEvent, onBreak, signal }: FollowOptions): Promise<void> {
  let lastEventId: string | undefined;
  let hasBegun = false;
  const parsed = ({ type, id, data }: ServerEvent) => {
    lastEventId = id;
    onEvent(type, JSON.parse(data));
  };
  while (!signal.aborted) {
    const silence = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = await call({
        method: 'GET',
        path: '/v1/admin/stream',
        headers: { 'last-event-id': lastEventId },
        stream: true,
        signal: AbortSignal.any([signal, silence.signal]),
      });
      hasBegun = true;
      const parse = createEventParser(parsed);
      const decoder = new TextDecoder();
      for await (const bytes of as<ReadableStream<Uint8Array>>(answer)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        parse(decoder.decode(bytes, { stream: true }));
      }
      if (!signal.aborted) onBreak('The broker ended the stream.');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof BrokerError && (!hasBegun || exitCodeOf(error) === EXIT.refused)) throw error;
      onBreak(error instanceof BrokerError ? error.message : 'The stream broke off.');
    } finally {
      clearTimeout(timer);
    }
    await pause(AGAIN_AFTER_MS, signal).catch(() => undefined);
  }
}
