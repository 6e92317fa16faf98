import { useEffect, useState } from 'preact/hooks';
import { html } from './html.ts';
import { fromNow, moment } from './wording.ts';

const EVERY_MS = 1_000;
const listeners = new Set<(nowMs: number) => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** One timer for all, so that hundreds of moments on a page change at once and not one after the other. */
function subscribe(listener: (nowMs: number) => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    const nowMs = Date.now();
    for (const each of listeners) each(nowMs);
  }, EVERY_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The browser's time, epoch milliseconds, anew every second. */
export function useNow(): number {
  const [nowMs, setNowMs] = useState(Date.now());
  useEffect(() => subscribe(setNowMs), []);
  return nowMs;
}

/** A moment as its distance from now, and in full for whoever points at it. */
export function When({ at }: { at: number }) {
  return html`<time dateTime=${new Date(at * 1_000).toISOString()} title=${moment(at)}>${fromNow(at, useNow())}</time>`;
}
