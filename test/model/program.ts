import type { OutageKind } from './far-side.ts';
import type { PlannedFault } from './faults.ts';

/** A small number that picks one of what there is by then: a replica, a sandbox, a lease. */
export type Choice = number;

/** Who asks for a lease, and for what: how long, and whether it will give signs of life. */
interface Asked {
  holder: Choice;
  key?: Choice | undefined;
  durationSeconds?: number | undefined;
  heartbeatSeconds?: number | undefined;
}

/** What may be asked of a replica, and done to it. A `lease` is one of those that callers were told of. */
export type ReplicaStep = { waits: boolean; on: Choice } & (
  | ({ do: 'allocate'; prefix?: string | undefined } & Asked)
  | ({ do: 'allocate_several'; count: number } & Asked)
  | { do: 'mark_all'; lease: Choice }
  | ({ do: 'wait'; prefix?: string | undefined; seconds: number; priority: number } & Asked)
  /** Of a lease, or (not `byId`) of whichever its holder has of the sandbox. */
  | { do: 'extend'; lease: Choice; byId: boolean; seconds: number }
  | { do: 'heartbeat'; lease: Choice; byId: boolean }
  | { do: 'leave'; place: Choice }
  | { do: 'mark'; lease: Choice; byOther?: boolean }
  | { do: 'get'; lease: Choice }
  | { do: 'report'; lease: Choice; replaces: boolean }
  | { do: 'release' | 'retry_deletion' | 'restore'; sandbox: Choice }
  | { do: 'quarantine'; sandbox: Choice; endsLease: boolean }
  | { do: 'sync'; force: boolean }
  | { do: 'cleanup' | 'expire' | 'free_cooled' | 'tend_line' | 'refresh' | 'kill' }
  | { do: 'purge'; hours: number }
  | { do: 'bulk_delete'; status: 'stale' | 'deletion_failed' }
  | { do: 'freeze'; seconds: number; holdsCalls: boolean }
  /** The machine's clock jumps: so many hours off, or right again. */
  | { do: 'set_clock'; hours: number }
);

/** What happens without any replica: at the provider, or by the passing of time. */
export type WorldStep = { waits: boolean } & (
  | { do: 'add'; name: string }
  | { do: 'rename'; sandbox: Choice; name: string }
  | { do: 'remove'; sandbox: Choice }
  | { do: 'bring_back' }
  /** The provider fails whoever asks, for so long. */
  | { do: 'outage'; how: OutageKind; seconds: number }
  | { do: 'pass'; seconds: number }
);

/**
 * A step that `waits` begins when what was asked before it has ended; any other may begin while that is still under way.
 */
export type Step = ReplicaStep | WorldStep;

/** What a run does. */
export interface Program {
  /** Decides what happens next wherever several things may; 0: the oldest first. */
  schedule: number;
  /** How far each replica's clock is off, milliseconds; as many replicas as numbers. */
  skewsMs: number[];
  /** Names of the sandboxes that are there from the start. */
  pool: string[];
  /** How the provider answers a delete, and for how long it goes on listing what it does not recycle. */
  deletes: { answer: 'recycled' | 'destroyed' | 'accepted'; listedForSeconds: number };
  /** How long after it was cleaned a sandbox is free. */
  cooldownSeconds: number;
  steps: Step[];
  faults: PlannedFault[];
}
