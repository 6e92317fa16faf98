import type { SandboxEvent } from '../../../src/domain/event.ts';
import type { Place } from '../../../src/domain/line.ts';
import type { Sandbox } from '../../../src/domain/sandbox.ts';
import type { KeyRecord } from '../../../src/store/sandboxes/idempotency.ts';

/*
 * A history: what clients were told, what the table remembers, what the provider was asked. Plain data, so that it may
 * come from HTTP, from use cases called in this process, or out of a test's head. `check-history.ts` judges it.
 *
 * How it is fed
 * - Each call goes through `createRecorder()` (`recorder.ts`): it notes the start, the end and the outcome, and makes
 *   the call's `id`. That id must reach the broker as the call's correlation id (`X-Correlation-ID`, or
 *   `context.correlationId`), and no other call may have it: events name their call by it.
 * - Every track's and operator's call is recorded, also those that fail. A lease or a mark that no recorded call asked
 *   for is a violation. An answer that was an error of the broker's (5xx), or none at all, is `unknown`: such a call may
 *   have its effect at any time after its start, or never.
 *   So may what an allocation has tried in vain before it was told of the lease that its key has: the network may
 *   deliver that once more.
 * - Runs of loops may be recorded (`op: 'run'`) where a test calls them itself; it makes the verdict sharper.
 * - `readEnd(client)` (`read-end.ts`) reads events, sandboxes and keys out of the table when everything is at rest.
 * - Every request for a delete is noted where the provider is, at the moment of its effect, by the same clock as calls.
 * - Times of calls, deletes, observations and interruptions are of one clock, the recorder's; any unit will do, a
 *   counter too, as long as it never goes back. Times in events and records are of the brokers' clocks.
 *
 * The verdict is certain: what might have been lawful in any order of what overlapped is accepted.
 */

/** From when to when on the recorder's clock. The end is Infinity where nobody knows: it may still be at work. */
export interface Span {
  startMs: number;
  endMs: number;
}

export interface Refused {
  type: 'refused';
  /** The error's code: a word that nothing was done. */
  code: string;
}
export interface Unknown {
  type: 'unknown';
}
export interface Done {
  type: 'done';
}

interface CallOf<Op extends string, Outcome> extends Span {
  /** The correlation id of all it caused. */
  id: string;
  op: Op;
  outcome: Outcome | Refused | Unknown;
}

/** One of the leases that an answer tells of; absent is what nobody noted. */
export interface ToldLease {
  sandboxId: string;
  leaseOver?: boolean | undefined;
  leaseId?: string | undefined;
  fencingToken?: number | undefined;
  /** Its end, epoch seconds. */
  expiresAt?: number | undefined;
  /** When the next sign of life is to come by, or a moment before that, epoch seconds. */
  heartbeatBy?: number | undefined;
}

export interface AllocateCall
  extends CallOf<
    'allocate',
    | ({ type: 'leased'; replayed: boolean } & ToldLease)
    | { type: 'leased_several'; leases: readonly ToldLease[]; replayed: boolean }
    | { type: 'none_free' }
    | { type: 'in_line'; ticket: string }
  > {
  holder: string;
  /** The `Idempotency-Key`; absent: the holder is the key. */
  key?: string | undefined;
  namePrefix?: string | undefined;
  /** How long the lease is to last; absent: as long as one does unasked. */
  durationSeconds?: number | undefined;
  /** It will be heard of so often; absent: it need not. */
  heartbeatSeconds?: number | undefined;
  /** It asks for so many, all or none; absent: for one. */
  count?: number | undefined;
  /** It waits in line where nothing is free, for so long; absent: it does not. */
  waitSeconds?: number | undefined;
  priority?: number | undefined;
}
/** A place is given up, by its holder or by an operator. */
export interface LeaveCall extends CallOf<'leave', Done> {
  ticket: string;
}
export interface MarkCall extends CallOf<'mark', Done> {
  holder: string;
  sandboxId: string;
}
/** All that a key has is given back. */
export interface MarkAllCall
  extends CallOf<'mark_all', { type: 'marked'; sandboxIds: readonly string[] }>,
    Pick<AllocateCall, 'holder' | 'key'> {}
/** A holder says that its sandbox is broken; with `replaces` it wants another for the same key. */
export interface ReportCall
  extends CallOf<
    'report',
    { type: 'reported'; replacement?: ToldLease | undefined; ticket?: string | undefined }
  > {
  holder: string;
  sandboxId: string;
  /** Of the lease; as in {@link AllocateCall}. */
  key?: string | undefined;
  replaces: boolean;
}
/** A holder moves the end of its lease, or gives a sign of life. */
export interface KeepCall extends CallOf<'extend' | 'heartbeat', { type: 'kept' } & ToldLease> {
  holder: string;
  sandboxId: string;
  /** Of the one that it means; absent: of whichever it has of the sandbox. */
  leaseId?: string | undefined;
  /** From the extension to the new end. */
  durationSeconds?: number | undefined;
}
/** A track's look at its sandbox. */
export interface GetCall extends CallOf<'get', { type: 'shown'; status: Sandbox['status'] }> {
  holder: string;
  sandboxId: string;
}
export interface OperatorCall extends CallOf<'release' | 'retry_deletion' | 'quarantine' | 'restore', Done> {
  sandboxId: string;
}
/** A run of a loop, or an operator's write on many records. */
export type RunCall = CallOf<'run', Done>;

export type Call =
  | AllocateCall
  | LeaveCall
  | MarkCall
  | MarkAllCall
  | ReportCall
  | KeepCall
  | GetCall
  | OperatorCall
  | RunCall;

/** A request for a delete, or what became of a sandbox by itself, as the provider knows it. */
export interface ProviderDelete {
  sandboxId: string;
  /** The moment of its effect, or of its refusal, on the recorder's clock. */
  atMs: number;
  /** `missed`: there was no such thing any more. `failed`: refused, no effect. `removed`: gone without a request. */
  outcome: 'deleted' | 'missed' | 'failed' | 'removed';
  /** Whether the answer that says so was given. One who was not told may ask again. */
  told: boolean;
  /** By the provider's own word it is clean now, and there to be leased. */
  recycled?: boolean;
}

/** A complete listing, as the provider put it together. */
export interface ProviderListing extends Span {
  /** Ids of the sandboxes in it. */
  has: ReadonlySet<string>;
}

/** A strongly consistent look at one record. */
export interface Observation extends Span {
  sandboxId: string;
  generation: number;
}

export interface History {
  calls: readonly Call[];
  /** Every sandbox's, in any order. */
  events: readonly SandboxEvent[];
  /** The records at the end, tombstones included. */
  sandboxes: readonly Sandbox[];
  /** The idempotency keys at the end. */
  keys: readonly KeyRecord[];
  /** When the end was read, by the brokers' clock, epoch milliseconds. */
  asOfMs: number;
  /** From the grant of a lease that asked for no duration to its expiry, buffer included, by the brokers' clocks, milliseconds. */
  termMs: number;
  /** From a lease's end to its expiry, milliseconds; absent: nothing is said about the ends in the records. */
  bufferMs?: number;
  /** From a lease's begin to its end, however often it is extended, milliseconds; absent: as long as one likes. */
  maxLeaseMs?: number;
  /** How long after it was cleaned a sandbox is free, milliseconds; absent: at once. */
  cooldownMs?: number;
  /** Sandboxes that must have a record at the end. */
  expectedIds: readonly string[];
  /** Absent: the provider kept no log, and nothing is said about deletes. */
  deletes?: readonly ProviderDelete[];
  /** Absent: the provider kept no log of them, and nothing is said about leases of what was deleted. */
  listings?: readonly ProviderListing[] | undefined;
  observations?: readonly Observation[];
  /**
   * How far the brokers' clocks are off the recorder's at most, milliseconds; absent: they have nothing to do with each
   * other. With it the times in events tell what cannot have happened yet.
   */
  clockSkewMs?: number;
  /** When brokers died, or the store was away: only over such a moment may a delete that was answered be repeated. */
  interruptionsMs?: readonly number[];
  /** How long a place is kept after its caller's last call, milliseconds; absent: nothing is said about the line. */
  patienceMs?: number;
  /** The places at the end. */
  places?: readonly Place[];
  /** Sandboxes have got other names: whom they fitted cannot be told from the end. */
  areRenamed?: boolean;
  /** A sandbox may be free beside somebody who waits for so long, milliseconds; absent: not at all. */
  idleMs?: number;
  /** Sooner than this after one delete nobody may take over from a broker that went silent, recorder's milliseconds. */
  takeoverMs?: number;
}

/**
 * - `two_holders`: at one moment two holders had one sandbox.
 * - `split_key`: one key had two live sandboxes; or one that the caller chose had two at all within its window, but for one
 *   that replaced one that was reported; or a report had two in its stead.
 * - `partial_grant`: of several that were asked for together, a part was leased.
 * - `false_refusal`: "none is free" while one was, or as many as were asked for, from the call's start to its end.
 * - `lost_lease`, `lost_mark`, `lost_delete`: acknowledged, and gone.
 * - `revived_lease`: a lease that was over before its holder called was extended, or said to go on.
 * - `wrong_end`: a lease ends at another time than was asked for, or than was told.
 * - `stale_token`: a fencing token that is no higher than one of an earlier lease of the sandbox.
 * - `unfounded_delete`: the provider was asked to delete what nobody had given back and no lease had run out on.
 * - `repeated_delete`: one mark or expiry, two effects at the provider.
 * - `vanishing_lease`: leased after it was deleted, before a complete listing that began later has lacked it.
 * - `unfit_lease`: leased while it was kept out of the pool, or free before it had cooled down.
 * - `overtaken`: somebody got a sandbox who had come later than one who waited for it all along, and was no more important.
 * - `idle_beside_waiter`: a sandbox was free while somebody waited for it.
 * - `lost_place`: who asked again in time had not its place any more.
 * - `unaccounted`: at the end a sandbox has no record, or one that its history does not explain or nobody will look at.
 * - `broken_history`: events that contradict each other or the calls.
 */
export const RULES = [
  'two_holders',
  'split_key',
  'partial_grant',
  'false_refusal',
  'lost_lease',
  'lost_mark',
  'lost_delete',
  'revived_lease',
  'wrong_end',
  'stale_token',
  'unfounded_delete',
  'repeated_delete',
  'vanishing_lease',
  'unfit_lease',
  'overtaken',
  'idle_beside_waiter',
  'lost_place',
  'unaccounted',
  'broken_history',
] as const;
export type Rule = (typeof RULES)[number];

export interface Violation {
  rule: Rule;
  /** What happened, with the ids and times it is seen by. */
  message: string;
}

/** The leases that a call was told of. */
export const toldIn = ({ outcome }: Pick<Call, 'outcome'>): readonly ToldLease[] => {
  switch (outcome.type) {
    case 'leased_several':
      return outcome.leases;
    case 'leased':
    case 'kept':
      return [outcome];
    case 'reported':
      return outcome.replacement === undefined ? [] : [outcome.replacement];
    default:
      return [];
  }
};

/** The caller chose the key: it is remembered after its lease. (Named as the holder is, it may be the default one.) */
export const isChosen = ({ holder, key }: Pick<AllocateCall, 'holder' | 'key'>): boolean =>
  key !== undefined && key !== holder;

/** What a lease is found by again: the holder and its key. */
export const keyOf = ({ holder, key }: Pick<AllocateCall, 'holder' | 'key'>): string =>
  JSON.stringify([holder, key ?? holder]);
