import type { InventoryItem } from '../../src/domain/inventory.ts';
import { openListing } from '../../src/domain/listed.ts';
import type { ProviderErrorKind } from '../../src/domain/provider-error.ts';
import type { DeleteOutcome, Provider } from '../../src/provider/provider.ts';
import { ProviderError } from '../../src/provider/provider.ts';
import type { ProviderDelete, ProviderListing } from '../support/history/history.ts';
import type { Boundary, OutgoingCall } from './boundary.ts';
import type { Refusal } from './faults.ts';
import type { Program } from './program.ts';
import type { ModelProcess, World } from './world.ts';

/**
 * The provider's inventory, in this process. It stands at the port instead of behind a socket: there the order in which
 * calls arrive, and the time they take, are the schedule's, so that a run replays.
 */
export interface FarSide {
  readonly inventory: ReadonlyMap<string, InventoryItem>;
  /** How many there have ever been: s1, s2, … */
  readonly known: number;
  /** Every request for a delete, and every sandbox that went by itself. */
  readonly deletes: readonly ProviderDelete[];
  /** Every listing, at the moment at which it was put together. */
  readonly listings: readonly ProviderListing[];
  /** How often somebody was told that the delete of this very sandbox failed, while there was no outage. */
  refusalsOf(sandboxId: string): number;
  /** Outages so far. */
  readonly outages: number;
  add(name: string): void;
  rename(sandboxId: string, name: string): void;
  /** It is gone without anybody having asked for it. */
  remove(sandboxId: string): void;
  /** One that was there once is there again. */
  bringBack(): void;
  /** From now on it fails whoever asks, for so long. */
  outage(how: OutageKind, ms: number): void;
  /** The provider as one process of the model reaches it. */
  reachedBy(process: ModelProcess): Provider;
}

export const OUTAGE_KINDS = ['server_error', 'unauthorized', 'rate_limited'] as const;
export type OutageKind = (typeof OUTAGE_KINDS)[number];

/** What a provider says about one sandbox. */
const OWN_FAULTS: ReadonlySet<ProviderErrorKind> = new Set(['server_error', 'rejected']);

const KINDS: Record<Refusal, ProviderErrorKind> = {
  reset: 'network',
  throttled: 'rate_limited',
  server_error: 'server_error',
  conflict: 'rejected',
};
const RETRY_AFTER_MS = 7_000;

const errorFor = (how: Refusal) =>
  new ProviderError(KINDS[how], `${how}, injected`, {
    ...(how === 'throttled' && { retryAfterMs: RETRY_AFTER_MS }),
  });
const givenUp = () => new ProviderError('aborted', 'given up');

/** `onDelete` is told of a delete just before its effect. */
export function createFarSide(
  world: World,
  boundary: Boundary,
  options: { deletes: Program['deletes']; onDelete: (sandboxId: string) => Promise<void> },
): FarSide {
  const inventory = new Map<string, InventoryItem>();
  const gone = new Map<string, InventoryItem>();
  /** When what was deleted ceases to be listed. */
  const leaving = new Map<string, number>();
  const deletes: ProviderDelete[] = [];
  const listings: ProviderListing[] = [];
  let made = 0;
  let outage: { how: OutageKind; untilMs: number } | undefined;
  let outages = 0;
  const isOut = () => outage !== undefined && outage.untilMs > world.nowMs();
  const refusals = new Map<string, number>();

  const drop = (item: InventoryItem) => {
    leaving.delete(item.sandboxId);
    inventory.delete(item.sandboxId);
    gone.set(item.sandboxId, item);
  };
  const listed = () => {
    for (const [sandboxId, leftAtMs] of leaving) {
      const item = inventory.get(sandboxId);
      if (item && leftAtMs <= world.nowMs()) drop(item);
    }
    return inventory;
  };

  async function deleteOne(sandboxId: string): Promise<{ outcome: DeleteOutcome; noted: ProviderDelete }> {
    const { answer, listedForSeconds } = options.deletes;
    const item = listed().get(sandboxId);
    if (item) await options.onDelete(sandboxId);
    const noted: ProviderDelete = {
      sandboxId,
      atMs: world.nowMs(),
      outcome: item ? 'deleted' : 'missed',
      told: false,
      recycled: answer === 'recycled',
    };
    deletes.push(noted);
    if (!item) return { outcome: 'already_gone', noted };
    if (answer !== 'recycled' && !leaving.has(sandboxId)) {
      leaving.set(sandboxId, world.nowMs() + listedForSeconds * 1_000);
    }
    return { outcome: answer, noted };
  }

  const send = <Answer>(
    process: ModelProcess,
    signal: AbortSignal,
    answer: OutgoingCall<Answer>['perform'],
  ) => {
    const perform = async () => {
      if (outage && isOut()) {
        const limit = outage.how === 'rate_limited' ? { retryAfterMs: RETRY_AFTER_MS } : {};
        throw new ProviderError(outage.how, 'an outage', limit);
      }
      return await answer();
    };
    return boundary.send(process, {
      to: 'provider',
      perform,
      signal,
      errorFor,
      givenUp,
      endsWithCaller: true,
    });
  };

  return {
    get inventory() {
      return listed();
    },
    get known() {
      return made;
    },
    deletes,
    listings,
    add(name) {
      const sandboxId = `s${++made}`;
      inventory.set(sandboxId, { sandboxId, name, externalId: `ext/${sandboxId}`, metadata: {} });
    },
    rename(sandboxId, name) {
      const item = listed().get(sandboxId);
      if (item) inventory.set(sandboxId, { ...item, name });
    },
    remove(sandboxId) {
      const item = listed().get(sandboxId);
      if (!item) return;
      deletes.push({ sandboxId, atMs: world.nowMs(), outcome: 'removed', told: false });
      drop(item);
    },
    bringBack() {
      listed();
      const [item] = gone.values();
      if (!item) return;
      gone.delete(item.sandboxId);
      inventory.set(item.sandboxId, item);
    },
    refusalsOf: (sandboxId) => refusals.get(sandboxId) ?? 0,
    get outages() {
      return outages;
    },
    outage(how, ms) {
      outages++;
      outage = { how, untilMs: world.nowMs() + ms };
    },
    reachedBy: (process) => ({
      name: 'csp',
      listSandboxes: (signal) =>
        send(process, signal, async () => {
          const atMs = world.nowMs();
          const items = openListing(listed().values());
          listings.push({
            startMs: atMs,
            endMs: atMs,
            has: new Set(items.ids()),
          });
          return { items, invalid: 0 };
        }),
      async deleteSandbox({ sandboxId }, signal) {
        try {
          const { outcome, noted } = await send(process, signal, () => deleteOne(sandboxId));
          noted.told = true;
          return outcome;
        } catch (error) {
          if (error instanceof ProviderError && OWN_FAULTS.has(error.kind) && !isOut())
            refusals.set(sandboxId, (refusals.get(sandboxId) ?? 0) + 1);
          throw error;
        }
      },
      close: async () => undefined,
    }),
  };
}
