import { type Call, type History, type ToldLease, toldIn } from './history.ts';
import type { FoundLease, Step, Timeline } from './timeline.ts';

/** A call that was told that a lease goes on. */
interface Telling {
  call: Call;
  told: ToldLease;
}

/**
 * When a lease is over: by what was asked for, by its extensions, and by what its holder was told. All by the brokers' clocks,
 * epoch milliseconds. What comes `beforeMs`, a moment of the recorder's clock, has come for certain by then; without it, all
 * that has come at all.
 */
export interface LeaseEnds {
  /** Its end proper. */
  endMs(lease: FoundLease, beforeMs?: number): number;
  /** Its end with the buffer. */
  reclaimMs(lease: FoundLease, beforeMs?: number): number;
  /** Until when a key that the caller chose remembers it. */
  rememberedMs(lease: FoundLease, beforeMs?: number): number;
  /** Not before this moment its holder is silent for too long; Infinity: it need not be heard of. */
  silentFromMs(lease: FoundLease, beforeMs?: number): number;
  /** From this moment on it is, if it is not heard of in other calls than this one, all of which begin by `untilMs`. */
  silentByMs(lease: FoundLease, untilMs: number, but?: Call): number;
  /** How long it may last, however often it is extended, from its begin on. */
  latestEndMs(lease: FoundLease): number;
  /** It was got by a place in the line, and its holder may not have been told of it by this moment. */
  mayBeUntold(lease: FoundLease, atMs: number): boolean;
}

const KEY_WINDOW_MS = 86_400_000;
/** After the moment by which a sign of life was to come, as callers are promised. */
const GRACE_MS = 30_000;

/** A lease begins on a whole second. */
export const begunMs = ({ granted }: Pick<FoundLease, 'granted'>): number => wholeSecond(granted.event.atMs);

const wholeSecond = (atMs: number): number => Math.floor(atMs / 1000) * 1000;

/** The end that an extension has set. */
export const extendedToMs = ({ event }: Step): number =>
  Number(/^until (\d+)$/.exec(event.detail ?? '')?.[1]) * 1000;

const sees = ({ latestMs }: Step, beforeMs: number): boolean => latestMs < beforeMs;

/** The event of a lease by a place in the line names the call that joined; any call of its key collects it. */
export const isByPlace = ({ granted: { call } }: FoundLease): boolean =>
  call?.op === 'report' || (call?.op === 'allocate' && call.waitSeconds !== undefined);

export function createLeaseEnds({ leases }: Timeline, history: History): LeaseEnds {
  const { termMs, bufferMs = 0, maxLeaseMs = Infinity, clockSkewMs = Infinity } = history;
  const told = Map.groupBy(
    history.calls.flatMap((call) =>
      toldIn(call)
        .filter(({ leaseOver }) => !leaseOver)
        .map((lease): Telling => ({ call, told: lease })),
    ),
    ({ told: { leaseId } }) => leaseId,
  );
  const byHolder = Map.groupBy(history.calls, (call) => ('holder' in call ? call.holder : undefined));
  const tellings = ({ leaseId }: FoundLease): readonly Telling[] =>
    leaseId === undefined ? [] : (told.get(leaseId) ?? []);

  /** The lease in whose stead this one was given. */
  const replacedBy = (lease: FoundLease): FoundLease | undefined =>
    lease.granted.call?.op === 'report'
      ? leases.find(
          (other) =>
            other !== lease &&
            other.ended?.event.action === 'report' &&
            other.ended.call === lease.granted.call,
        )
      : undefined;

  /** How long it lasts unless it is extended: that in another's stead as long as the other has. */
  function lengthMs(lease: FoundLease): number {
    const { call } = lease.granted;
    const replaced = replacedBy(lease);
    if (replaced) return endMs(replaced) - begunMs(replaced);
    return call?.op === 'allocate' && call.durationSeconds !== undefined
      ? call.durationSeconds * 1000
      : termMs - bufferMs;
  }

  function beatMs(lease: FoundLease): number | undefined {
    const { call } = lease.granted;
    const replaced = replacedBy(lease);
    if (replaced) return beatMs(replaced);
    return call?.op === 'allocate' && call.heartbeatSeconds !== undefined
      ? call.heartbeatSeconds * 1000
      : undefined;
  }

  function endMs(lease: FoundLease, beforeMs = Infinity): number {
    const seen = lease.extensions.filter((each) => beforeMs === Infinity || sees(each, beforeMs));
    return Math.max(begunMs(lease) + lengthMs(lease), ...seen.map(extendedToMs));
  }

  const reclaimMs: LeaseEnds['reclaimMs'] = (lease, beforeMs) => endMs(lease, beforeMs) + bufferMs;

  /** Whether the call may have had something to do with the lease, and told nothing of it. */
  const mayHaveHeard = (call: Call, { sandboxId, granted }: FoundLease): boolean => {
    if (call.outcome.type !== 'unknown' || call.endMs < granted.earliestMs) return false;
    if (call.op === 'extend' || call.op === 'heartbeat') return call.sandboxId === sandboxId;
    return call.op === 'allocate' || call.op === 'report';
  };

  return {
    endMs,
    reclaimMs,
    rememberedMs: (lease, beforeMs) => Math.max(reclaimMs(lease, beforeMs), begunMs(lease) + KEY_WINDOW_MS),
    silentFromMs(lease, beforeMs = Infinity) {
      const beat = beatMs(lease);
      if (beat === undefined) return Infinity;
      const extended = lease.extensions.filter((each) => beforeMs === Infinity || sees(each, beforeMs));
      const heard = tellings(lease).filter(({ call }) => beforeMs === Infinity || call.endMs < beforeMs);
      return (
        GRACE_MS +
        Math.max(
          begunMs(lease) + beat,
          ...extended.map(({ event }) => wholeSecond(event.atMs) + beat),
          ...heard.map(({ told: { heartbeatBy = 0 } }) => heartbeatBy * 1000),
        )
      );
    },
    silentByMs(lease, untilMs, but) {
      const beat = beatMs(lease);
      if (beat === undefined) return Infinity;
      const others = (byHolder.get(lease.holder) ?? []).filter(
        (call) => call !== but && call.startMs <= untilMs,
      );
      if (others.some((call) => mayHaveHeard(call, lease))) return Infinity;
      const extended = lease.extensions.filter((each) => each.call !== but && each.earliestMs <= untilMs);
      // Whoever collects a lease is heard of by that, and is not told so.
      const heard = tellings(lease).filter(({ call }) => call !== but && call.startMs <= untilMs);
      const latest = heard.map(({ call, told: { heartbeatBy = 0 } }) =>
        call.op === 'extend' || call.op === 'heartbeat'
          ? heartbeatBy * 1000
          : call.endMs + clockSkewMs + beat,
      );
      const byEvents = extended.map(({ event }) => wholeSecond(event.atMs) + beat);
      return GRACE_MS + Math.max(begunMs(lease) + beat, ...byEvents, ...latest);
    },
    latestEndMs: (lease) => begunMs(lease) + maxLeaseMs,
    mayBeUntold: (lease, atMs) => isByPlace(lease) && !tellings(lease).some(({ call }) => call.endMs < atMs),
  };
}
