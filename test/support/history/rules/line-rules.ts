import { type AllocateCall, type History, keyOf, type Violation } from '../history.ts';
import type { FoundLease, Step, Timeline } from '../timeline.ts';
import { told } from './chain-rules.ts';

/** A time in which a place was in the line for certain, and its caller called often enough. */
interface Stay {
  key: string;
  calls: AllocateCall[];
  ticket: string;
  /** It had joined by then, and was waiting still at the end. */
  fromMs: number;
  toMs: number;
}

/** Who waits is served before who comes later, no sandbox is free beside it, and it keeps its place. */
export function checkLine(timeline: Timeline, history: History): Violation[] {
  if (history.patienceMs === undefined) return [];
  const stays = staysOf(timeline, history, history.patienceMs / 2);
  const tickets = ticketsOf(history);
  return [
    ...stays.flatMap((stay) => checkOvertaken(stay, timeline, history, tickets)),
    ...stays.flatMap((stay) => checkIdle(stay, timeline, history)),
    ...checkPlaces(timeline, history, history.patienceMs / 2),
  ];
}

const ticketOf = ({ outcome }: AllocateCall): string | undefined =>
  outcome.type === 'in_line' ? outcome.ticket : undefined;

const allocations = ({ calls }: History): AllocateCall[] =>
  calls.filter((call): call is AllocateCall => call.op === 'allocate');

/** Neither silent for long, nor so long at one call that its place may have been given up meanwhile. */
const isPunctual = (call: AllocateCall, graceMs: number): boolean =>
  call.endMs - call.startMs <= (call.waitSeconds ?? 0) * 1000 + graceMs;

function staysOf({ leases }: Timeline, history: History, graceMs: number): Stay[] {
  const byTicket = Map.groupBy(allocations(history), ticketOf);
  return [...byTicket].flatMap(([ticket, calls]) => {
    if (ticket === undefined) return [];
    const stays: Stay[] = [];
    for (const call of calls.toSorted((a, b) => a.startMs - b.startMs)) {
      const last = stays.at(-1);
      const isOn = last && call.startMs - lastEndOf(last) <= graceMs && isPunctual(call, graceMs);
      if (isOn) {
        last.calls.push(call);
        last.toMs = Math.max(last.toMs, call.startMs);
      } else {
        stays.push({ key: keyOf(call), calls: [call], ticket, fromMs: call.endMs, toMs: call.endMs });
      }
    }
    // Its turn came while it waited: until then it was in the line.
    const served = leases.find(({ granted }) => calls.some(({ id }) => id === granted.call?.id));
    const last = stays.at(-1);
    if (last && served && served.granted.earliestMs - lastEndOf(last) <= graceMs) {
      last.toMs = Math.max(last.toMs, served.granted.earliestMs);
    }
    return stays.filter(({ fromMs, toMs }) => fromMs < toMs);
  });
}

const lastEndOf = ({ calls }: Stay): number => Math.max(...calls.map(({ endMs }) => endMs));

/** Somebody who came later, and is no more important, got a sandbox while this one waited. */
function checkOvertaken(stay: Stay, { leases }: Timeline, history: History, tickets: Tickets): Violation[] {
  const priority = stay.calls[0]?.priority ?? 0;
  return leases.flatMap((lease) => {
    const { granted, key, sandboxId } = lease;
    const { call } = granted;
    if (call?.op !== 'allocate' || key === stay.key || !isWithin(granted, stay)) return [];
    const isLater = call.startMs >= stay.fromMs && (call.priority ?? 0) <= priority;
    // Places of one priority are in the order of their numbers, whenever their callers were told of them.
    const isBehind = (tickets(lease) ?? '') > stay.ticket && call.priority === priority;
    if ((!isLater && !isBehind) || !isWanted(stay, sandboxId, history)) return [];
    const message = `${told(granted)} came after ${asked(stay)}, and was served before it`;
    return { rule: 'overtaken', message } as const;
  });
}

const isWithin = ({ earliestMs, latestMs }: Step, { fromMs, toMs }: Stay): boolean =>
  earliestMs >= fromMs && latestMs <= toMs;

/** The place by which a lease was got, where that is certain. */
type Tickets = (lease: FoundLease) => string | undefined;

function ticketsOf(history: History): Tickets {
  const byLease = new Map(history.keys.map(({ leaseId, ticket }) => [leaseId, ticket]));
  const byKey = Map.groupBy(allocations(history), keyOf);
  return ({ granted, key = '' }) => {
    // Its event names the call that joined: until it was served, the key had this place and no other.
    const { call: joined, earliestMs, event } = granted;
    const told = (byKey.get(key) ?? []).find(
      (call) =>
        ticketOf(call) !== undefined &&
        (call === joined || call.startMs >= (joined?.endMs ?? Infinity)) &&
        call.endMs <= earliestMs,
    );
    return byLease.get(event.leaseId ?? '') ?? (told && ticketOf(told));
  };
}

/** A sandbox was free while this one waited for it. */
function checkIdle(stay: Stay, { chains }: Timeline, history: History): Violation[] {
  return [...chains].flatMap(([sandboxId, steps]) =>
    steps.flatMap((step, index) => {
      if (step.event.to !== 'available' || !isWanted(stay, sandboxId, history)) return [];
      const next: Step | undefined = steps[index + 1];
      const fromMs = Math.max(step.latestMs, stay.fromMs);
      const toMs = Math.min(next?.earliestMs ?? Number.POSITIVE_INFINITY, stay.toMs);
      if (toMs - fromMs <= (history.idleMs ?? 0)) return [];
      const message = `${sandboxId} was free from ${told(step)} on, for ${toMs - fromMs} ms beside ${asked(stay)}`;
      return { rule: 'idle_beside_waiter', message } as const;
    }),
  );
}

/** By the name at the end: where names change, nobody can tell whom a sandbox fitted. */
function isWanted({ calls }: Stay, sandboxId: string, history: History): boolean {
  const prefix = calls[0]?.namePrefix;
  if (prefix === undefined) return true;
  const record = history.sandboxes.find(({ id }) => id === sandboxId);
  return !history.areRenamed && record?.name.startsWith(prefix) === true;
}

/** Who was told of a place and asked again in time has it still, or was served. */
function checkPlaces({ leases }: Timeline, history: History, graceMs: number): Violation[] {
  const byKey = Map.groupBy(allocations(history), keyOf);
  const lost = [...byKey].flatMap(([key, calls]) => {
    const sorted = calls.toSorted((a, b) => a.startMs - b.startMs);
    return sorted.flatMap((call, index) => {
      const next = sorted[index + 1];
      const ticket = ticketOf(call);
      if (next?.waitSeconds === undefined || ticket === undefined) return [];
      const inTime = next.startMs >= call.endMs && next.startMs - call.endMs <= graceMs;
      const alone = sorted.every(
        (other) =>
          other === call || other === next || other.endMs < call.startMs || other.startMs > next.endMs,
      );
      if (!inTime || !alone || !isPunctual(call, graceMs) || !isPunctual(next, graceMs)) return [];
      const isKept =
        ticketOf(next) === ticket || next.outcome.type === 'leased' || next.outcome.type === 'unknown';
      const isOther = next.outcome.type === 'refused' && next.outcome.code !== 'PLACE_LOST';
      const wasLeft = history.calls.some((other) => other.op === 'leave' && other.ticket === ticket);
      // It was served, and came too late for that.
      const wasServed = leases.some(
        (lease) =>
          lease.key === key &&
          lease.granted.earliestMs <= next.endMs &&
          lease.granted.latestMs >= call.startMs,
      );
      if (isKept || isOther || wasLeft || wasServed) return [];
      const message = `${key} had the place ${ticket} at ${call.endMs}; at ${next.endMs} it was told ${JSON.stringify(next.outcome)}`;
      return { rule: 'lost_place', message } as const;
    });
  });
  const places = new Set(history.places?.map(({ ticket }) => ticket));
  const pointless = history.keys.filter(({ waits }) => waits !== undefined && !places.has(waits));
  return [
    ...lost,
    ...pointless.map(({ pk, waits }) => ({
      rule: 'lost_place' as const,
      message: `the key ${pk} waits at ${waits}, and there is no such place`,
    })),
  ];
}

const asked = ({ key, ticket, fromMs, toMs }: Stay): string =>
  `${key}, which waited at ${ticket} from ${fromMs} to ${toMs}`;
