import { BoundedMap } from '../../domain/bounded-map.ts';
import type { RetryWindowStore } from '../../domain/resilience/retry-window.ts';
import {
  type EndedWindow,
  type OpenWindow,
  type WindowAnomaly,
  windowAnomalies,
} from '../../domain/resilience/retry-window.ts';

/** A task about which there is something new to tell: each anomaly comes once. */
export interface Noticed<Window> {
  window: Window;
  anomalies: WindowAnomaly[];
}

/** The tasks under way, from their first attempt to their final result, on all replicas; in bounded memory. */
export interface RetryWindows {
  /** This replica has made an attempt. `isRetry`: it was not the task's first. */
  attempted(task: string, nowMs: number): Noticed<OpenWindow> & { isRetry: boolean };
  /** The task's final result; `undefined` when no attempt at it is known. */
  ended(task: string, result: EndedWindow['result'], nowMs: number): Noticed<EndedWindow> | undefined;
  /** The task is not pursued and says nothing. */
  forget(task: string): void;
  /** Tasks of this replica that have become strange by taking so long. */
  overdue(nowMs: number): Noticed<OpenWindow>[];
  open(): OpenWindow[];
  /** The ones that ended here, the last one first. */
  recent(): EndedWindow[];
  /**
   * Tells the store what is new here, and learns what is new elsewhere. A task that succeeds at its first attempt is
   * nothing new. Throws when the store cannot be reached; nothing is lost then, it is told the next time. `isBeat`: it comes
   * all the time, and learns only now and then while no task is under way.
   */
  share(
    store: RetryWindowStore,
    nowMs: number,
    signal: AbortSignal,
    options?: { isBeat?: boolean },
  ): Promise<void>;
  /** Learns what is new elsewhere. */
  listen(store: RetryWindowStore, nowMs: number, signal: AbortSignal): Promise<void>;
}

interface Entry extends OpenWindow {
  /** Attempts the store has not been told of. */
  untold: number;
  /** The store has it. */
  isShared: boolean;
  /** The last attempt was made here: it is for this replica to notice what is strange. */
  isOurs: boolean;
  noticed: Set<WindowAnomaly>;
}

const MAX_OPEN = 1_000;
const MAX_RECENT = 100;
/** Ended ones that the store has not been told of. */
const MAX_UNTOLD = 500;
/** Writes to the store at once, so that statistics do not stand in anybody's way. */
const WRITES_AT_ONCE = 5;
/** So often the others' tasks are looked at where there is none here. */
const HEAR_EVERY_MS = 600_000;
/** A task that nobody has tried for so long is not under way any more. */
const FORGET_AFTER_MS = 86_400_000;

export function createRetryWindows(): RetryWindows {
  const entries = new BoundedMap<string, Entry>(MAX_OPEN);
  let recent: EndedWindow[] = [];
  let untold: { window: EndedWindow; wasShared: boolean }[] = [];
  let heardAtMs = Number.NEGATIVE_INFINITY;

  function entryOf(task: string, nowMs: number): Entry {
    const known = entries.get(task);
    if (known) return known;
    const entry: Entry = {
      task,
      firstAttemptAtMs: nowMs,
      lastAttemptAtMs: nowMs,
      attempts: 0,
      untold: 0,
      isShared: false,
      isOurs: true,
      noticed: new Set(),
    };
    entries.set(task, entry);
    return entry;
  }

  /** What is strange about it and was not before. */
  function notice(entry: Entry, window: OpenWindow | EndedWindow, nowMs: number): WindowAnomaly[] {
    const anomalies = windowAnomalies(window, nowMs).filter((anomaly) => !entry.noticed.has(anomaly));
    for (const anomaly of anomalies) entry.noticed.add(anomaly);
    return anomalies;
  }

  async function tellEnded(store: RetryWindowStore, signal: AbortSignal): Promise<void> {
    const telling = untold;
    untold = [];
    try {
      while (telling.length > 0) {
        const some = telling.slice(0, WRITES_AT_ONCE);
        await Promise.all(some.map(({ window, wasShared }) => store.end(window, wasShared, signal)));
        telling.splice(0, some.length);
      }
    } finally {
      // Those that were not told, before those that came meanwhile. One told twice is refused by the store.
      untold = [...telling, ...untold].slice(-MAX_UNTOLD);
    }
  }

  async function tellOpen(store: RetryWindowStore, signal: AbortSignal): Promise<void> {
    const telling = [...entries.values()].filter((entry) => entry.untold > 0);
    while (telling.length > 0) {
      await Promise.all(
        telling.splice(0, WRITES_AT_ONCE).map(async (entry) => {
          const told = entry.untold;
          const together = await store.add({ ...windowOf(entry), attempts: told }, signal);
          entry.untold -= told;
          entry.isShared = true;
          learn(entry, together);
          // It ended while it was being told of: then so is its end.
          if (entries.get(entry.task) !== entry) {
            for (const one of untold) if (one.window.task === entry.task) one.wasShared = true;
          }
        }),
      );
    }
  }

  /** Takes over what all replicas together have seen. */
  function learn(entry: Entry, together: OpenWindow): void {
    if (together.lastAttemptAtMs > entry.lastAttemptAtMs) entry.isOurs = false;
    entry.firstAttemptAtMs = Math.min(entry.firstAttemptAtMs, together.firstAttemptAtMs);
    entry.lastAttemptAtMs = Math.max(entry.lastAttemptAtMs, together.lastAttemptAtMs);
    entry.attempts = together.attempts + entry.untold;
  }

  function hear(windows: OpenWindow[], nowMs: number): void {
    const there = new Set(windows.map(({ task }) => task));
    for (const entry of [...entries.values()]) {
      const isGone = entry.isShared && entry.untold === 0 && !there.has(entry.task);
      const isOld = nowMs - entry.lastAttemptAtMs > FORGET_AFTER_MS;
      if (isGone || isOld) entries.delete(entry.task);
    }
    for (const window of windows) {
      const entry = entryOf(window.task, window.firstAttemptAtMs);
      if (entry.attempts === 0) {
        entry.isOurs = false;
        entry.lastAttemptAtMs = window.lastAttemptAtMs;
      }
      entry.isShared = true;
      learn(entry, window);
      // Whoever made the attempts has noticed.
      if (!entry.isOurs) notice(entry, window, nowMs);
    }
  }

  async function listen(store: RetryWindowStore, nowMs: number, signal: AbortSignal): Promise<void> {
    hear(await store.readOpen(nowMs, signal), nowMs);
    heardAtMs = nowMs;
  }

  return {
    attempted(task, nowMs) {
      const entry = entryOf(task, nowMs);
      const isRetry = entry.attempts > 0;
      entry.attempts++;
      entry.untold++;
      entry.lastAttemptAtMs = nowMs;
      entry.isOurs = true;
      return { window: windowOf(entry), isRetry, anomalies: notice(entry, entry, nowMs) };
    },
    ended(task, result, nowMs) {
      const entry = entries.get(task);
      if (!entry) return undefined;
      entries.delete(task);
      const window: EndedWindow = { ...windowOf(entry), result, endedAtMs: nowMs };
      recent = [window, ...recent].slice(0, MAX_RECENT);
      if (entry.attempts > 1 || entry.isShared) {
        untold = [...untold, { window, wasShared: entry.isShared }].slice(-MAX_UNTOLD);
      }
      return { window, anomalies: notice(entry, window, nowMs) };
    },
    forget: (task) => void entries.delete(task),
    overdue: (nowMs) =>
      [...entries.values()]
        .filter((entry) => entry.isOurs)
        .map((entry) => ({ window: windowOf(entry), anomalies: notice(entry, entry, nowMs) }))
        .filter(({ anomalies }) => anomalies.length > 0),
    open: () => [...entries.values()].map(windowOf),
    recent: () => recent,
    async share(store, nowMs, signal, { isBeat = false } = {}) {
      const isQuiet = entries.size === 0 && untold.length === 0;
      await tellOpen(store, signal);
      await tellEnded(store, signal);
      if (isBeat && isQuiet && nowMs - heardAtMs < HEAR_EVERY_MS) return;
      await listen(store, nowMs, signal);
    },
    listen,
  };
}

const windowOf = ({ task, firstAttemptAtMs, lastAttemptAtMs, attempts }: OpenWindow): OpenWindow => ({
  task,
  firstAttemptAtMs,
  lastAttemptAtMs,
  attempts,
});
