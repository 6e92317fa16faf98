import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** The known values of each label. An empty list: its values cannot be known beforehand, so nothing is pre-filled. */
type Labels<L extends string> = Record<L, readonly string[]>;

/** Makes metrics on one registry whose known series are there from the start with 0. */
export function createInstruments(registry: Registry) {
  const registers = [registry];
  return {
    counter<L extends string = never>(name: string, help: string, labels = {} as Labels<L>): Counter<L> {
      const counter = new Counter({ name, help, labelNames: namesOf(labels), registers });
      for (const series of combinations(labels)) counter.inc(series, 0);
      return counter;
    },
    gauge<L extends string = never>(name: string, help: string, labels = {} as Labels<L>): Gauge<L> {
      const gauge = new Gauge({ name, help, labelNames: namesOf(labels), registers });
      for (const series of combinations(labels)) gauge.set(series, 0);
      return gauge;
    },
    histogram<L extends string>(
      name: string,
      help: string,
      bucketsSeconds: number[],
      labels: Labels<L>,
    ): Histogram<L> {
      const histogram = new Histogram({
        name,
        help,
        labelNames: namesOf(labels),
        buckets: bucketsSeconds,
        registers,
      });
      for (const series of combinations(labels)) histogram.zero(series);
      return histogram;
    },
  };
}

const namesOf = <L extends string>(labels: Labels<L>): L[] => Object.keys(labels) as L[];

/** One label set for every combination of the labels' values. */
function combinations<L extends string>(labels: Labels<L>): Record<L, string>[] {
  return namesOf(labels).reduce(
    (sets, name) => sets.flatMap((set) => labels[name].map((value) => ({ ...set, [name]: value }))),
    [{} as Record<L, string>],
  );
}
