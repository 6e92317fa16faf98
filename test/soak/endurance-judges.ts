/*
 * What a broker that is to run for months must not do in a quarter of an hour. Pure: `endurance.ts` takes the samples.
 */

/** What a broker's process was like at one moment. */
export interface EnduranceSample {
  /** Since the load began, milliseconds. */
  atMs: number;
  residentMiB: number;
  heapUsedMiB: number;
  /** The longest the event loop was held up since the sample before, milliseconds. */
  stallMs: number;
  /** What keeps the process alive, by its own account: sockets, pipes, servers. */
  handles: number;
  /** Open sockets, by the operating system's. */
  sockets: number;
  /** Errors by the broker's count so far, and calls that were answered with one. */
  errors: number;
  /** Leases that were given and marked for deletion so far. */
  cycles: number;
}

export interface Verdict {
  rule: string;
  holds: boolean;
  /** The measured figure and its bound. */
  figure: string;
}

export const ENDURANCE_BOUNDS = {
  /** Code and connections get warm, caches fill: this part of the run is not judged for growth. */
  warmUpPart: 0.2,
  /** Over the judged part, of the memory at its beginning; the collector's own ups and downs are below it. */
  growthPart: 0.1,
  growthMiB: 16,
  stallMs: 200,
  /** Between the first and the last third of the judged part. */
  moreHandles: 5,
  moreSockets: 5,
};

const MIN_SAMPLES = 6;

/** The least-squares line through the points: units of `y` per unit of `x`. 0 for less than two different `x`. */
export function slope(points: readonly { x: number; y: number }[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  let products = 0;
  let squares = 0;
  for (const { x, y } of points) {
    products += (x - meanX) * (y - meanY);
    squares += (x - meanX) ** 2;
  }
  return squares === 0 ? 0 : products / squares;
}

function judgeMemory(
  rule: string,
  figure: 'residentMiB' | 'heapUsedMiB',
  judged: EnduranceSample[],
): Verdict {
  const lengthMs = (judged.at(-1)?.atMs ?? 0) - (judged[0]?.atMs ?? 0);
  const perMs = slope(judged.map((sample) => ({ x: sample.atMs, y: sample[figure] })));
  const grownMiB = perMs * lengthMs;
  const startMiB = judged[0]?.[figure] ?? 0;
  const boundMiB = Math.max(ENDURANCE_BOUNDS.growthMiB, ENDURANCE_BOUNDS.growthPart * startMiB);
  return {
    rule,
    holds: grownMiB <= boundMiB,
    figure: `${grownMiB.toFixed(1)} MiB along its line in ${(lengthMs / 60_000).toFixed(1)} min (at most ${boundMiB.toFixed(1)})`,
  };
}

function judgeCount(
  rule: string,
  figure: 'handles' | 'sockets',
  judged: EnduranceSample[],
  allowed: number,
): Verdict {
  const third = Math.ceil(judged.length / 3);
  const most = (samples: EnduranceSample[]) => Math.max(...samples.map((sample) => sample[figure]));
  const first = most(judged.slice(0, third));
  const last = most(judged.slice(-third));
  return { rule, holds: last <= first + allowed, figure: `${first} → ${last} (at most ${allowed} more)` };
}

/** Judges a run by its samples, oldest first. Too few of them, or a run in which nothing happened, is broken, too. */
export function judgeEndurance(samples: readonly EnduranceSample[]): Verdict[] {
  const judged = samples.slice(Math.floor(samples.length * ENDURANCE_BOUNDS.warmUpPart));
  const enough: Verdict = {
    rule: 'there is something to judge',
    holds: judged.length >= MIN_SAMPLES,
    figure: `${judged.length} samples (at least ${MIN_SAMPLES})`,
  };
  if (!enough.holds) return [enough];
  const stallMs = Math.max(...judged.map((sample) => sample.stallMs));
  const errors = samples.at(-1)?.errors ?? 0;
  const idle = judged
    .slice(1)
    .filter((sample, index) => sample.cycles <= (judged[index]?.cycles ?? 0)).length;
  return [
    enough,
    judgeMemory('resident memory is flat', 'residentMiB', judged),
    judgeMemory('the heap is flat', 'heapUsedMiB', judged),
    {
      rule: 'the event loop never stalls',
      holds: stallMs <= ENDURANCE_BOUNDS.stallMs,
      figure: `${stallMs.toFixed(0)} ms at the longest (at most ${ENDURANCE_BOUNDS.stallMs})`,
    },
    judgeCount('handles do not pile up', 'handles', judged, ENDURANCE_BOUNDS.moreHandles),
    judgeCount('sockets do not pile up', 'sockets', judged, ENDURANCE_BOUNDS.moreSockets),
    { rule: 'nothing fails', holds: errors === 0, figure: `${errors} errors (none)` },
    {
      rule: 'the work goes on',
      holds: idle === 0,
      figure: `${idle} samples without a finished lease (none)`,
    },
  ];
}
