import { describe, expect, test } from 'vitest';
import { type Coming, etaSeconds, type Place, rivalsOf } from '../../../src/domain/line.ts';
import type { AllocatedSandbox, PendingSandbox, Sandbox } from '../../../src/domain/sandbox.ts';
import { createForecast } from '../../../src/usecases/line/forecast.ts';
import { createLinePace } from '../../../src/usecases/line/line-pace.ts';
import { seededRandom } from '../../support/seeded-random.ts';

/*
 * Trainings, minute by minute on a clock of their own: students come in waves, most give back some time before the end, some
 * never do, and who waits is told what is expected. What they were told is held against how long it took.
 */

const MINUTE_MS = 60_000;
const LEASE_MINUTES = 240;
const BUFFER_MINUTES = 30;
/** Expiry and cleanup come by every five minutes; a cleanup takes one. */
const LOOPS_MS = 300_000;
const CLEANUP_MINUTES = 3;
const LONGEST_BACK_MS = (LEASE_MINUTES + BUFFER_MINUTES) * MINUTE_MS + 2 * LOOPS_MS + MINUTE_MS;

/** From the beginning of a wave to that of the next. */
const WAVE_MS = 8 * 60 * MINUTE_MS;

interface Training {
  sandboxes: number;
  students: number;
  /** All of them come within so many minutes, and as many again in each later wave. */
  arrivalMinutes: number;
  waves: number;
  /** They are done after so many, give or take a third. */
  labMinutes: number;
  /** Of whom nobody gives back. */
  forgetful: number;
  seed: number;
}

interface Told {
  wave: number;
  etaSeconds: number | null;
  tookSeconds: number;
  /** By what is known of those who have a sandbox, seconds. */
  boundSeconds: number;
}

async function run(training: Training): Promise<Told[]> {
  const random = seededRandom(training.seed);
  let nowMs = Date.UTC(2030, 0, 1, 9);
  const startMs = nowMs;
  const held = new Map<string, { sandbox: Sandbox; backAtMs: number }>();
  const reads = {
    buckets: 1,
    due: async () => ({ sandboxes: [...held.values()].map(({ sandbox }) => sandbox), lookedAt: held.size }),
  };
  const clock = { nowMs: () => nowMs };
  const forecast = createForecast({
    reads,
    clock,
    expiryIntervalMs: LOOPS_MS,
    cleanupIntervalMs: LOOPS_MS,
    cooldownMs: 0,
  });
  const pace = createLinePace();
  const line: { place: Place; told: { atMs: number; etaSeconds: number | null; boundMs: number }[] }[] = [];
  const free = Array.from({ length: training.sandboxes }, (_, index) => `s${index}`);
  const arrivals = Array.from({ length: training.waves * training.students }, (_, index) => {
    const wave = Math.floor(index / training.students);
    return wave * WAVE_MS + random.whole(0, training.arrivalMinutes * MINUTE_MS);
  }).sort((a, b) => a - b);
  const answers: Told[] = [];

  const change = (seen: Sandbox | undefined, next: Sandbox, backAtMs: number) => {
    held.set(next.id, { sandbox: next, backAtMs });
    forecast.note({ seen, next });
  };
  function lease(id: string): void {
    const isForgotten = random.chance(training.forgetful);
    const minutes = isForgotten
      ? LEASE_MINUTES + BUFFER_MINUTES + random.whole(0, 5)
      : training.labMinutes * (2 / 3 + (random.next() * 2) / 3);
    change(held.get(id)?.sandbox, allocated(id, nowMs), nowMs + minutes * MINUTE_MS);
  }

  for (let minute = 0; answers.length === 0 || line.length > 0 || arrivals.length > 0; minute++) {
    nowMs = startMs + minute * MINUTE_MS;
    for (const [id, { sandbox, backAtMs }] of held) {
      if (backAtMs > nowMs) continue;
      if (sandbox.status === 'allocated') {
        change(sandbox, pending(sandbox, nowMs), nowMs + (CLEANUP_MINUTES + random.whole(0, 3)) * MINUTE_MS);
        continue;
      }
      const next = line.shift();
      if (!next) {
        free.push(id);
        held.delete(id);
        continue;
      }
      for (const { atMs, etaSeconds, boundMs } of next.told) {
        answers.push({
          wave: Math.floor((atMs - startMs) / WAVE_MS),
          etaSeconds,
          tookSeconds: (nowMs - atMs) / 1000,
          boundSeconds: (boundMs - atMs) / 1000,
        });
      }
      lease(id);
    }
    while ((arrivals[0] ?? Number.POSITIVE_INFINITY) <= nowMs - startMs) {
      arrivals.shift();
      const id = free.pop();
      if (id !== undefined) lease(id);
      else line.push({ place: placeOf(`t${minute}-${line.length}`, nowMs), told: [] });
    }
    if (line.length === 0) continue;
    // Looks are 600 ms apart; to the pace it is the same.
    for (let look = 0; look < 6; look++) {
      pace.note(
        nowMs + look * 10_000,
        line.map(({ place }) => place.ticket),
      );
    }
    if (minute % 5 > 0) continue;
    const coming: readonly Coming[] = await forecast.coming();
    const bounds = [...held.values()].map(({ sandbox }) => boundOf(sandbox)).sort((a, b) => a - b);
    const places = line.map(({ place }) => place);
    for (const [index, { told }] of line.entries()) {
      const turn = { rivals: rivalsOf(places, index) };
      const eta = etaSeconds(turn, { coming, served: pace.served() }, nowMs);
      const boundMs = bounds[index] ?? Number.POSITIVE_INFINITY;
      told.push({ atMs: nowMs, etaSeconds: eta, boundMs: Math.max(boundMs, nowMs) });
    }
  }
  return answers;
}

/** The latest that it is free again, by what is known of it. */
const boundOf = (sandbox: Sandbox): number =>
  sandbox.status === 'allocated'
    ? sandbox.lease.allocatedAt * 1000 + LONGEST_BACK_MS
    : Number.POSITIVE_INFINITY;

const common = (id: string, nowMs: number) => ({
  id,
  name: `lab-${id}`,
  externalId: id,
  metadata: {},
  generation: 1,
  createdAtMs: 0,
  updatedAtMs: nowMs,
});

function allocated(id: string, nowMs: number): AllocatedSandbox {
  const allocatedAt = nowMs / 1000;
  const expiresAt = allocatedAt + LEASE_MINUTES * 60;
  const lease = { leaseId: 'l', holder: 'h', allocatedAt, expiresAt, idempotencyPk: 'I#' };
  return {
    ...common(id, nowMs),
    status: 'allocated',
    lease: { ...lease, reclaimAt: expiresAt + BUFFER_MINUTES * 60 },
  };
}

const pending = ({ id, lease }: AllocatedSandbox, nowMs: number): PendingSandbox => ({
  ...common(id, nowMs),
  status: 'pending_deletion',
  lease,
  cleanup: { requestedAt: nowMs / 1000, attempts: 0, retries: 0, dueMs: nowMs },
});

const placeOf = (ticket: string, nowMs: number): Place => ({
  ticket,
  priority: 0,
  keyPk: `I#${ticket}`,
  request: { principal: 'track', holder: ticket, hash: '', explicitKey: false },
  by: { actor: 'track', requestId: '', correlationId: '' },
  attempt: '',
  joinedAtMs: nowMs,
  aliveUntilMs: Number.POSITIVE_INFINITY,
});

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const TRAININGS = {
  'students who come all day': {
    sandboxes: 40,
    students: 200,
    arrivalMinutes: 300,
    labMinutes: 60,
    forgetful: 0.1,
  },
  'a class that begins at once': {
    sandboxes: 40,
    students: 100,
    arrivalMinutes: 15,
    labMinutes: 60,
    forgetful: 0.1,
  },
  'long labs that many forget': {
    sandboxes: 20,
    students: 60,
    arrivalMinutes: 60,
    labMinutes: 120,
    forgetful: 0.2,
  },
};
/** Parts of the wait; docs/api.md says what it is. */
const MEDIAN_ERROR = { atFirst: 0.5, later: 0.3 };

describe('what those who wait are told to expect', async () => {
  const told = new Map<string, Told[]>();
  for (const [index, [name, training]] of Object.entries(TRAININGS).entries()) {
    told.set(name, await run({ ...training, waves: 3, seed: index + 1 }));
  }
  const errorsIn = (answers: readonly Told[]) =>
    answers.flatMap(({ etaSeconds, tookSeconds }) =>
      etaSeconds === null ? [] : Math.abs(etaSeconds - tookSeconds) / Math.max(60, tookSeconds),
    );

  test.for(Object.keys(TRAININGS))('%s: never less than nothing, nor later than all leases end', (name) => {
    const answers = told.get(name) ?? [];
    expect(answers.length).toBeGreaterThan(1_000);
    const wrong = answers.filter(
      ({ etaSeconds, boundSeconds }) =>
        etaSeconds !== null && (etaSeconds < 0 || etaSeconds > boundSeconds + 1),
    );
    expect(wrong).toEqual([]);
  });

  test('is off by less than a third of the wait in the median, once a class has been there', () => {
    const all = [...told.values()].flat();
    const [first, later] = [all.filter(({ wave }) => wave === 0), all.filter(({ wave }) => wave > 0)];
    expect(median(errorsIn(later))).toBeLessThan(MEDIAN_ERROR.later);
    expect(median(errorsIn(first))).toBeLessThan(MEDIAN_ERROR.atFirst);
    expect(later.filter(({ etaSeconds }) => etaSeconds === null).length).toBeLessThan(later.length / 10);
  });
});
