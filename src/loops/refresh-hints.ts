/** Hints that nothing is known against are read again after so long. */
const KEPT_MS = 300_000;

/** Reads the hints of free sandboxes again, unless the pool is known to be as it was. */
export function refreshHints(deps: {
  /** Differs whenever the pool is known to have changed. */
  stateMark: () => string;
  refresh: () => Promise<void>;
}): () => Promise<void> {
  let last = { stateMark: '', atMs: Number.NEGATIVE_INFINITY };
  return async () => {
    const atMs = performance.now();
    const stateMark = deps.stateMark();
    if (stateMark === last.stateMark && atMs - last.atMs < KEPT_MS) return;
    last = { stateMark, atMs };
    await deps.refresh();
  };
}
