import { useEffect, useState } from 'preact/hooks';
import { html } from './html.ts';
import { fromNow, moment } from './wording.ts';

/** The browser's time, epoch milliseconds, anew every `everyMs`. */
export function useNow(everyMs = 1_000): number {
  const [nowMs, setNowMs] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return nowMs;
}

/** A moment as its distance from now, and in full for whoever points at it. */
export function When({ at }: { at: number }) {
  return html`<time dateTime=${new Date(at * 1_000).toISOString()} title=${moment(at)}>${fromNow(at, useNow())}</time>`;
}
