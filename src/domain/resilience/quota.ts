/** How often something may be done. */
export interface Quota {
  /** Uses allowed in any window, >= 0; `null`: as many as one likes (they are counted all the same). */
  maxActions: number | null;
  /** Length of the sliding window, whole seconds, >= 1. */
  windowSeconds: number;
}

/** The uses within one slot of time: slot `n` covers `[n · slotMs, (n + 1) · slotMs)` of the epoch. */
export interface SlotUse {
  slot: number;
  count: number;
}

/**
 * The uses of a sliding window, kept by slots of time and not one by one, so that its size is bounded.
 *
 *     ┆ slot ┆ slot ┆ … 50 slots of a window … ┆ slot of now ┆
 *       └ a use counts until its slot is a whole window old
 *
 * A use counts for at least one window and at most one slot (2 % of a window) longer. So no stretch of the window's
 * length ever holds more uses than allowed, and room becomes free up to one slot later than it could.
 */
export interface UsageWindow {
  readonly slotMs: number;
  /** Ascending by slot, none of them empty. */
  readonly uses: readonly SlotUse[];
  /** The sum of the uses. */
  readonly total: number;
}

export const SLOTS_PER_WINDOW = 50;

/** Length of a slot, milliseconds; whole for whole seconds. */
export const slotMsOf = (windowSeconds: number): number => (windowSeconds * 1000) / SLOTS_PER_WINDOW;

/** A window in which nothing was done. */
export const unusedWindow = (slotMs: number): UsageWindow => ({ slotMs, uses: [], total: 0 });

/**
 * The window as it stands at `nowMs`, in slots of `slotMs`, without the uses that are over. A window that was kept in
 * other slots goes over into these, each use as late as it may have been. What lies more than a window ahead was written
 * under a clock that was wrong, and counts as of now: it must not block the resource for days.
 */
export function asOf(window: UsageWindow, slotMs: number, nowMs: number): UsageWindow {
  const now = Math.floor(nowMs / slotMs);
  const oldest = now - SLOTS_PER_WINDOW;
  const newest = now + SLOTS_PER_WINDOW;
  const [first] = window.uses;
  const last = window.uses.at(-1);
  if (first === undefined || last === undefined) return unusedWindow(slotMs);
  const inThese = window.slotMs === slotMs;
  if (inThese && first.slot >= oldest && last.slot <= newest) return window;

  const counts = new Map<number, number>();
  for (const use of window.uses) {
    const slot = inThese ? use.slot : Math.min(now, slotOfEnd(use.slot, window.slotMs, slotMs));
    if (slot < oldest) continue;
    const placed = slot > newest ? now : slot;
    counts.set(placed, (counts.get(placed) ?? 0) + use.count);
  }
  const uses = [...counts].map(([slot, count]) => ({ slot, count })).sort((a, b) => a.slot - b.slot);
  return { slotMs, uses, total: uses.reduce((sum, { count }) => sum + count, 0) };
}

/** The slot of `slotMs` in which a slot of another length ends: none of its uses came later. */
const slotOfEnd = (slot: number, itsSlotMs: number, slotMs: number): number =>
  Math.ceil(((slot + 1) * itsSlotMs) / slotMs) - 1;

/** The slot a use at `nowMs` is counted in: never before the newest there is, however the clocks of its users differ. */
export const slotForUse = (window: UsageWindow, nowMs: number): number =>
  Math.max(Math.floor(nowMs / window.slotMs), window.uses.at(-1)?.slot ?? 0);

/** The window with one more use. `window` must be as of `nowMs`. */
export function addUse(window: UsageWindow, nowMs: number): UsageWindow {
  const slot = slotForUse(window, nowMs);
  const last = window.uses.at(-1);
  const uses =
    last?.slot === slot
      ? [...window.uses.slice(0, -1), { slot, count: last.count + 1 }]
      : [...window.uses, { slot, count: 1 }];
  return { slotMs: window.slotMs, uses, total: window.total + 1 };
}

export const hasRoom = (window: UsageWindow, { maxActions }: Quota): boolean =>
  maxActions === null || window.total < maxActions;

/**
 * Whole seconds, >= 1, until a full window has room again if nothing is added to it; for a quota of 0, which never has
 * room, the window's length. `window` must be as of `nowMs`.
 */
export function secondsUntilRoom(window: UsageWindow, quota: Quota, nowMs: number): number {
  const { maxActions, windowSeconds } = quota;
  if (maxActions === null || maxActions === 0) return windowSeconds;
  let left = window.total;
  for (const { slot, count } of window.uses) {
    left -= count;
    if (left >= maxActions) continue;
    const overAtMs = (slot + SLOTS_PER_WINDOW + 1) * window.slotMs;
    return Math.max(1, Math.ceil((overAtMs - nowMs) / 1000));
  }
  return 1;
}

/** What all replicas know of the quotas, by resource. */
export interface QuotaRecords {
  /** Quotas that an operator set at run time. */
  limits: ReadonlyMap<string, Quota>;
  windows: ReadonlyMap<string, UsageWindow>;
}

/** Quotas that all replicas share. Everything throws `STORE_UNAVAILABLE`. */
export interface QuotaStore {
  /**
   * One use, if the window has room for it; and the window after that. However many replicas ask at once, they never
   * get more than the quota. An answer that is lost on the way may count a use twice, never none.
   */
  take(
    resource: string,
    quota: Quota,
    signal?: AbortSignal,
  ): Promise<{ taken: boolean; window: UsageWindow }>;
  read(signal?: AbortSignal): Promise<QuotaRecords>;
  /** Sets a quota for all replicas, for as long as nobody says otherwise: it outlives restarts. */
  setLimit(resource: string, quota: Quota, signal?: AbortSignal): Promise<void>;
  /** Back to what each replica was configured with. */
  clearLimit(resource: string, signal?: AbortSignal): Promise<void>;
}
