import type { SandboxEvent } from '../../../src/domain/event.ts';
import type {
  AllocatedSandbox,
  AvailableSandbox,
  PendingSandbox,
  QuarantinedSandbox,
  Sandbox,
} from '../../../src/domain/sandbox.ts';
import type { KeyRecord } from '../../../src/store/sandboxes/idempotency.ts';
import type { AllocateCall, Call, History, MarkCall, Observation, ProviderDelete } from './history.ts';

/*
 * Histories out of a test's head. One clock for everybody: calls, events and deletes are in milliseconds after
 * `STORY_STARTED_MS`, a whole second.
 */
export const STORY_STARTED_MS = Date.UTC(2030, 0, 1, 9);
export const STORY_TERM_MS = 60_000;
/** The times of a call; without an end it was never answered. */
type Times = readonly [startMs: number, endMs?: number];

export const spanOf = ([startMs, endMs = Infinity]: Times) => ({
  startMs: STORY_STARTED_MS + startMs,
  endMs: STORY_STARTED_MS + endMs,
});

/** Two sandboxes, `s1` and `s2`, that are free and stay so, until a test adds to it. */
export interface Story {
  calls?: Call[];
  /** In the order of each sandbox; generations are counted from there. */
  events?: readonly Partial<SandboxEvent>[];
  sandboxes?: readonly Sandbox[];
  keys?: readonly KeyRecord[];
  deletes?: readonly ProviderDelete[];
  observations?: readonly Observation[];
  more?: Partial<History>;
}

export function historyOf({ calls = [], events = [], sandboxes = [], keys = [], ...rest }: Story): History {
  const generations = new Map<string, number>();
  const numbered = [sync('s1', 'sync_created', 0), sync('s2', 'sync_created', 0), ...events].map((event) => {
    const id = String(event.sandboxId);
    generations.set(id, (generations.get(id) ?? 0) + 1);
    return { ...NOBODY, generation: generations.get(id), ...event } as SandboxEvent;
  });
  const told = new Set(sandboxes.map(({ id }) => id));
  const untold = ['s1', 's2'].filter((id) => !told.has(id)).map((id) => free(id, generations.get(id)));
  return {
    calls,
    events: numbered,
    sandboxes: [...sandboxes, ...untold],
    keys,
    asOfMs: STORY_STARTED_MS + 1_000_000,
    termMs: STORY_TERM_MS,
    expectedIds: ['s1', 's2'],
    deletes: rest.deletes ?? [],
    observations: [seen('s1', 1, [0, 1]), seen('s2', 1, [0, 1]), ...(rest.observations ?? [])],
    clockSkewMs: 0,
    ...rest.more,
  };
}

const NOBODY = { actor: 'loop', requestId: 'r', correlationId: 'a-loop', atMs: STORY_STARTED_MS };

export const seen = (sandboxId: string, generation: number, times: Times): Observation => ({
  sandboxId,
  generation,
  ...spanOf(times),
});

export const allocated = (
  id: string,
  holder: string,
  times: Times,
  outcome: AllocateCall['outcome'],
): AllocateCall => ({ op: 'allocate', id, holder, outcome, ...spanOf(times) });

export const leased = (sandboxId: string, replayed = false): AllocateCall['outcome'] => ({
  type: 'leased',
  sandboxId,
  replayed,
});

export const marked = (
  id: string,
  sandboxId: string,
  holder: string,
  times: Times,
  outcome: MarkCall['outcome'] = { type: 'done' },
): MarkCall => ({ op: 'mark', id, sandboxId, holder, outcome, ...spanOf(times) });

/** The events, each as its action writes it. `call` is the call that caused it. */
export const granted = (
  sandboxId: string,
  holder: string,
  call: string,
  atMs: number,
): Partial<SandboxEvent> => ({
  sandboxId,
  holder,
  action: 'allocate',
  from: 'available',
  to: 'allocated',
  correlationId: call,
  leaseId: `lease-${call}`,
  atMs: STORY_STARTED_MS + atMs,
});

export const ended = (
  sandboxId: string,
  holder: string,
  call: string,
  atMs: number,
  action = 'mark_for_deletion',
): Partial<SandboxEvent> => ({
  sandboxId,
  holder,
  action,
  from: 'allocated',
  to: 'pending_deletion',
  correlationId: call,
  atMs: STORY_STARTED_MS + atMs,
});

export const recycled = (sandboxId: string, atMs: number, detail = 'recycled'): Partial<SandboxEvent> => ({
  sandboxId,
  action: 'cleanup_recycled',
  from: 'pending_deletion',
  to: 'available',
  detail,
  atMs: STORY_STARTED_MS + atMs,
});

export const sync = (
  sandboxId: string,
  action: 'sync_created' | 'sync_missing',
  atMs: number,
): Partial<SandboxEvent> => ({
  sandboxId,
  action,
  ...(action === 'sync_created' ? { to: 'available' } : { from: 'available', to: 'stale' }),
  atMs: STORY_STARTED_MS + atMs,
});

export const deleted = (
  sandboxId: string,
  atMs: number,
  more: Partial<ProviderDelete> = {},
): ProviderDelete => ({
  sandboxId,
  outcome: 'deleted',
  told: true,
  ...more,
  atMs: STORY_STARTED_MS + atMs,
});

/** The records at the end. */
const base = (id: string, generation = 1) => ({
  id,
  generation,
  name: `lab-${id}`,
  externalId: `ext/${id}`,
  metadata: {},
  createdAtMs: STORY_STARTED_MS,
  updatedAtMs: STORY_STARTED_MS,
});

export const free = (id: string, generation?: number): AvailableSandbox => ({
  ...base(id, generation),
  status: 'available',
});

export const held = (
  id: string,
  generation: number,
  call: string,
  holder: string,
  reclaimInSeconds = 2_000,
): AllocatedSandbox => ({
  ...base(id, generation),
  status: 'allocated',
  lease: {
    leaseId: `lease-${call}`,
    holder,
    allocatedAt: STORY_STARTED_MS / 1000,
    expiresAt: STORY_STARTED_MS / 1000 + reclaimInSeconds,
    reclaimAt: STORY_STARTED_MS / 1000 + reclaimInSeconds,
    idempotencyPk: `I#${holder}`,
  },
});

export const waiting = (id: string, generation: number, call: string, holder: string): PendingSandbox => ({
  ...held(id, generation, call, holder),
  status: 'pending_deletion',
  cleanup: { requestedAt: STORY_STARTED_MS / 1000, attempts: 0, retries: 0, dueMs: STORY_STARTED_MS },
});

export const kept = (id: string, generation: number): QuarantinedSandbox => ({
  ...base(id, generation),
  status: 'quarantined',
  quarantine: { reason: 'broken', sinceMs: STORY_STARTED_MS },
});

export const keyFor = (sandboxId: string, call: string, holder: string, forSeconds = 2_000): KeyRecord => ({
  pk: `I#${holder}`,
  sandboxId,
  name: `lab-${sandboxId}`,
  externalId: `ext/${sandboxId}`,
  leaseId: `lease-${call}`,
  allocatedAt: STORY_STARTED_MS / 1000,
  leaseExpiresAt: STORY_STARTED_MS / 1000 + forSeconds,
  expiresAt: STORY_STARTED_MS / 1000 + forSeconds,
  requestHash: 'hash',
  attempt: call,
});
