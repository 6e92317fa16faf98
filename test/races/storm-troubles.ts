import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from '../../src/store/engine/engine.ts';
import { enginesWith } from '../support/processes.ts';
import type { FakeAccount, FakeCsp } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { FaultProxy } from '../support/store/fault-proxy.ts';
import { until } from '../support/until.ts';

/*
 * What makes a storm, besides dying brokers. Each goes on until its signal, then puts everything right again.
 */

const ENGINE_BACK_WITHIN_MS = 15_000;
/** By the storm's clock. */
const LISTED_FOR_AT_MOST_MS = 30_000;
const RENEW_EVERY_MS = 100;
const COMMITS = /x-amz-target: *DynamoDB_20120810\.TransactWriteItems/i;

/** What befalls the engine: killed it starts again on its file and its port; frozen it answers nothing for a while. */
export type EngineTrouble = { kind: 'kill' } | { kind: 'freeze'; forMs: number };

/** Troubles the engine, one after the other, far from the storm's ends and from each other. How many there were. */
export async function troubleEngine(options: {
  engine: Engine;
  /** Its database file, by which its process is known. */
  file: string;
  troubles: readonly EngineTrouble[];
  seconds: number;
  noted: () => void;
  signal: AbortSignal;
}): Promise<number> {
  const { engine, file, troubles, seconds, noted, signal } = options;
  const frozenMs = troubles.reduce((sum, each) => sum + (each.kind === 'freeze' ? each.forMs : 0), 0);
  let done = 0;
  for (const trouble of troubles) {
    await delay((seconds * 1000 - frozenMs) / (troubles.length + 1));
    if (signal.aborted) return done;
    const [victim, ...others] = enginesWith(file);
    if (victim === undefined || others.length > 0)
      throw new Error('there is not just one engine on the file');
    noted();
    if (trouble.kind === 'kill') {
      process.kill(victim.pid, 'SIGKILL');
      const limit = { timeoutMs: ENGINE_BACK_WITHIN_MS, what: 'the engine runs again' };
      await until(() => engine.running && enginesWith(file).some(({ pid }) => pid !== victim.pid), limit);
    } else {
      process.kill(victim.pid, 'SIGSTOP');
      await delay(trouble.forMs);
      process.kill(victim.pid, 'SIGCONT');
    }
    noted();
    done += 1;
  }
  return done;
}

/** Loses answers of commits, cuts connections, and is slow at times. */
export async function troubleNetwork(
  proxy: FaultProxy,
  random: SeededRandom,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(random.whole(200, 700));
    const trouble = random.next();
    if (trouble < 0.5) proxy.swallowResponses(random.whole(1, 4), COMMITS);
    else if (trouble < 0.7) proxy.cutConnections();
    else {
      await proxy.behave({ kind: 'delay', delayMs: random.whole(5, 40) });
      await delay(random.whole(100, 400));
      await proxy.behave({ kind: 'pass' });
    }
  }
  proxy.swallowResponses(0);
}

/**
 * A provider that is honest about nothing but the end: it lets go of what is deleted at once or after a while, however
 * it answers, and makes something new of it once the brokers have seen that it is gone. Goes on until it is stopped.
 */
export function startRenewing(
  { accounts, settings }: FakeCsp,
  random: SeededRandom,
  isSeenGone: (sandboxId: string) => boolean,
) {
  const all = new Map<string, FakeAccount>(accounts);
  const renew = () => {
    settings.deleteStatus = random.pick([200, 202, 204] as const);
    settings.listedForMs = random.chance(0.5) ? 0 : random.whole(0, LISTED_FOR_AT_MOST_MS);
    for (const [uuid, one] of all) {
      if (!accounts.has(uuid) && isSeenGone(String(one.csp_id))) accounts.set(uuid, one);
    }
  };
  const timer = setInterval(renew, RENEW_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

/** Fails now and then: before a delete's effect, after it, with no answer at all, or late. */
export async function troubleProvider(
  { faults }: FakeCsp,
  random: SeededRandom,
  signal: AbortSignal,
): Promise<void> {
  const troubles: FakeFault[] = [
    { kind: 'respond', status: 500 },
    { kind: 'respond', status: 500, afterEffect: true },
    { kind: 'lost', afterEffect: true },
    { kind: 'lost' },
    { kind: 'slow', delayMs: 300 },
  ];
  while (!signal.aborted) {
    await delay(random.whole(300, 900));
    faults.add(random.chance(0.8) ? 'delete' : 'list', random.pick(troubles));
  }
  faults.clear();
}

/** What a whole provider answers while it is not well: an outage, a limit, a token that was rotated. */
const OUTAGES: FakeFault[] = [
  { kind: 'respond', status: 500 },
  { kind: 'respond', status: 503, headers: { 'retry-after': '2' } },
  { kind: 'respond', status: 429, headers: { 'retry-after': '2' } },
  { kind: 'respond', status: 403, headers: { 'retry-after': '2' } },
  { kind: 'respond', status: 401 },
];

/**
 * Refuses a few sandboxes every time, and now and then all of them for a while. Goes on until its signal; how often
 * everything was refused.
 */
export async function troubleAllDeletes(
  { accounts, faults }: FakeCsp,
  random: SeededRandom,
  signal: AbortSignal,
): Promise<number> {
  const poisoned = [...accounts.keys()].slice(0, POISONED);
  for (const uuid of poisoned) {
    faults.add('delete', { kind: 'respond', status: 500 }, { times: Number.POSITIVE_INFINITY, uuid });
  }
  let outages = 0;
  while (!signal.aborted) {
    await delay(random.whole(3_000, 6_000));
    if (signal.aborted) break;
    const outage = random.pick(OUTAGES);
    const untilMs = performance.now() + random.whole(500, 2_000);
    outages += 1;
    while (performance.now() < untilMs) {
      faults.add('delete', outage, { times: DELETES_AT_ONCE });
      await delay(OUTAGE_STEP_MS);
    }
  }
  return outages;
}

const POISONED = 5;
const DELETES_AT_ONCE = 10;
const OUTAGE_STEP_MS = 100;
