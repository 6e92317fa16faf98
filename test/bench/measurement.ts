import type { Answer } from './load.ts';
import type { RawRun } from './raw-engine.ts';
import { type Replica, type Snapshot, snapshotAll } from './replica.ts';
import { median, percentile, sum } from './statistics.ts';

/** One round of a scenario: what the callers saw, and what it cost. */
export interface Round {
  calls: number;
  /** Answered with a lease, new or replayed. */
  answered: number;
  /** 409 and 503: told to come again. */
  refused: number;
  /** Everything else, no answer included. */
  errors: number;
  elapsedMs: number;
  latenciesMs: number[];
  storeCalls: Record<string, number>;
  storeTimeouts: number;
  /** Of all replicas. */
  cpuSeconds: number;
  raw?: RawRun | undefined;
}

/** A scenario's result: medians over its rounds, sums of what went wrong. Per allocation means per answered call. */
export interface Measurement {
  scenario: string;
  replicas: number;
  rounds: number;
  callsPerRound: number;
  answered: number;
  refused: number;
  errors: number;
  perSecond: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  transactionsPerAllocation: number;
  storeCallsPerAllocation: number;
  /** By operation, per allocation; those that were not called are left out. */
  storeCalls: Record<string, number>;
  /** Store calls, of all rounds, that got no answer in time and were sent again: the machine had no time for them. */
  storeTimeouts: number;
  brokerCpuMsPerAllocation: number;
  raw?: RawMeasurement | undefined;
}

/** The bare engine beside it, in the same rounds; ratios are the medians of the rounds' ratios. */
export interface RawMeasurement {
  perSecond: number;
  p50Ms: number;
  cpuMsPerTransaction: number;
  /** Allocations per second / transactions per second. */
  throughputRatio: number;
  /** CPU time of the broker per allocation / of the bare client per transaction. */
  cpuRatio: number;
}

const LEASED = [200, 201];
const REFUSED = [409, 503];

/** Runs a load over the replicas and reads their counters before and after. */
export async function measureRound(
  replicas: readonly Replica[],
  load: () => Promise<Answer[]>,
): Promise<Round & { answers: Answer[] }> {
  const before = await snapshotAll(replicas);
  const startedMs = performance.now();
  const answers = await load();
  const elapsedMs = performance.now() - startedMs;
  return { ...toRound(answers, elapsedMs, before, await snapshotAll(replicas)), answers };
}

export function toRound(answers: Answer[], elapsedMs: number, before: Snapshot, after: Snapshot): Round {
  const count = (statuses: number[]) => answers.filter(({ status }) => statuses.includes(status)).length;
  const answered = count(LEASED);
  const refused = count(REFUSED);
  const operations = Object.entries(after.storeCalls);
  return {
    calls: answers.length,
    answered,
    refused,
    errors: answers.length - answered - refused,
    elapsedMs,
    latenciesMs: answers.map(({ latencyMs }) => latencyMs),
    storeCalls: Object.fromEntries(
      operations.map(([operation, calls]) => [operation, calls - (before.storeCalls[operation] ?? 0)]),
    ),
    storeTimeouts: after.storeTimeouts - before.storeTimeouts,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
  };
}

export function toMeasurement(scenario: string, replicas: number, rounds: readonly Round[]): Measurement {
  const middle = (pick: (round: Round) => number) => median(rounds.map(pick));
  const operations = Object.keys(rounds[0]?.storeCalls ?? {});
  const perAllocation = (operation: string) =>
    middle((round) => (round.storeCalls[operation] ?? 0) / round.answered);
  return {
    scenario,
    replicas,
    rounds: rounds.length,
    callsPerRound: middle((round) => round.calls),
    answered: sum(rounds.map((round) => round.answered)),
    refused: sum(rounds.map((round) => round.refused)),
    errors: sum(rounds.map((round) => round.errors)),
    perSecond: middle(perSecond),
    p50Ms: middle((round) => percentile(round.latenciesMs, 0.5)),
    p95Ms: middle((round) => percentile(round.latenciesMs, 0.95)),
    p99Ms: middle((round) => percentile(round.latenciesMs, 0.99)),
    transactionsPerAllocation: perAllocation('TransactWriteItems'),
    storeCallsPerAllocation: middle((round) => sum(Object.values(round.storeCalls)) / round.answered),
    storeCalls: Object.fromEntries(
      operations
        .map((operation) => [operation, perAllocation(operation)] as const)
        .filter(([, calls]) => calls > 0),
    ),
    storeTimeouts: sum(rounds.map((round) => round.storeTimeouts)),
    brokerCpuMsPerAllocation: middle(cpuMs),
    ...(rounds.every((round) => round.raw) && { raw: toRawMeasurement(rounds) }),
  };
}

function toRawMeasurement(rounds: readonly Round[]): RawMeasurement {
  const middle = (pick: (raw: RawRun, round: Round) => number) =>
    median(rounds.flatMap((round) => (round.raw ? [pick(round.raw, round)] : [])));
  const rawPerSecond = (raw: RawRun) => (raw.transactions / raw.elapsedMs) * 1000;
  const rawCpuMs = (raw: RawRun) => (raw.cpuSeconds / raw.transactions) * 1000;
  return {
    perSecond: middle(rawPerSecond),
    p50Ms: middle((raw) => percentile(raw.latenciesMs, 0.5)),
    cpuMsPerTransaction: middle(rawCpuMs),
    throughputRatio: middle((raw, round) => perSecond(round) / rawPerSecond(raw)),
    cpuRatio: middle((raw, round) => cpuMs(round) / rawCpuMs(raw)),
  };
}

const perSecond = (round: Round): number => (round.answered / round.elapsedMs) * 1000;
const cpuMs = (round: Round): number => (round.cpuSeconds / round.answered) * 1000;

/** The store calls of an allocation, in words. */
export const byOperation = ({ storeCalls }: Measurement): string =>
  Object.entries(storeCalls)
    .map(([operation, calls]) => `${operation} ${calls.toFixed(3)}`)
    .join(', ');
