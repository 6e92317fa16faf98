/** How the pool's free sandboxes stand. */
export const POOL_LEVELS = ['ok', 'low', 'empty'] as const;
export type PoolLevel = (typeof POOL_LEVELS)[number];

/** `lowWatermark`: fewer free sandboxes than this are `low`; 0: only none at all is worth a word. */
export function poolLevel(available: number, lowWatermark: number): PoolLevel {
  if (available === 0) return 'empty';
  return available < lowWatermark ? 'low' : 'ok';
}
