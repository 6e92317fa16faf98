import type { Clock } from '../../clock.ts';
import type { Inventory, Provider } from '../../provider/provider.ts';
import type { RaiseAlert } from '../alert.ts';

export interface ListingDeps {
  provider: Pick<Provider, 'listSandboxes'>;
  clock: Clock;
}

/** A complete listing. */
export interface Listing extends Inventory {
  /** Epoch milliseconds, before the provider was asked. */
  startedAtMs: number;
}

/** Everything that the provider lists. Throws what the provider throws: half of a listing is none. */
export async function listInventory(
  { provider, clock }: ListingDeps,
  signal: AbortSignal,
  onProgress?: () => void,
): Promise<Listing> {
  const startedAtMs = clock.nowMs();
  const inventory = await provider.listSandboxes(signal, onProgress);
  onProgress?.();
  return { startedAtMs, ...inventory };
}

/** Those of `missing` that a second listing, right after the first, lacks as well; where none is missing, none is made. */
export async function stillMissing<Each extends { id: string }>(
  deps: ListingDeps,
  missing: Each[],
  signal: AbortSignal,
  onProgress?: () => void,
): Promise<Each[]> {
  if (missing.length === 0) return [];
  const { items } = await listInventory(deps, signal, onProgress);
  return missing.filter(({ id }) => !items.has(id));
}

/** Somebody should ask the provider why these are still there. */
export function alertStillListed(alert: RaiseAlert, task: 'sync' | 'cleanup', sandboxIds: string[]): void {
  if (sandboxIds.length === 0) return;
  const context = { count: sandboxIds.length, sandbox_ids: sandboxIds.slice(0, NAMED_AT_MOST) };
  alert({ task, reason: 'still_listed', severity: 'error', context });
}

const NAMED_AT_MOST = 10;
