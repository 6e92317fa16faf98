import type { Description } from './sandbox.ts';

/** One sandbox as the provider lists it. */
export interface InventoryItem extends Description {
  sandboxId: string;
}
