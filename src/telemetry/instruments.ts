import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { MetricsGuard } from './metrics-guard.ts';

/** The known values of each label. An empty list: its values cannot be known beforehand, so nothing is pre-filled. */
type Labels<L extends string> = Record<L, readonly string[]>;

export interface GuardedCounter<L extends string> {
  /** @param value 1 by default. */
  inc(labels: Record<L, string>, value?: number): void;
}
export interface GuardedGauge<L extends string> {
  set(labels: Record<L, string>, value: number): void;
}
export interface GuardedHistogram<L extends string> {
  observe(labels: Record<L, string>, value: number): void;
}

/**
 * Makes metrics on one registry whose known series are there from the start with 0. Every label value goes through the
 * guard, so that no metric's number of series grows with its callers.
 */
export function createInstruments(registry: Registry, guard: MetricsGuard) {
  const registers = [registry];
  return {
    counter<L extends string = never>(
      name: string,
      help: string,
      labels = {} as Labels<L>,
    ): GuardedCounter<L> {
      guard.register(name, namesOf(labels));
      const counter = new Counter({ name, help, labelNames: namesOf(labels), registers });
      const inc = (series: Record<L, string>, value = 1) => counter.inc(guard.bound(name, series), value);
      for (const series of combinations(labels)) inc(series, 0);
      return { inc };
    },
    gauge<L extends string = never>(name: string, help: string, labels = {} as Labels<L>): GuardedGauge<L> {
      guard.register(name, namesOf(labels));
      const gauge = new Gauge({ name, help, labelNames: namesOf(labels), registers });
      const set = (series: Record<L, string>, value: number) => gauge.set(guard.bound(name, series), value);
      for (const series of combinations(labels)) set(series, 0);
      return { set };
    },
    histogram<L extends string>(
      name: string,
      help: string,
      bucketsSeconds: number[],
      labels: Labels<L>,
    ): GuardedHistogram<L> {
      guard.register(name, namesOf(labels));
      const histogram = new Histogram({
        name,
        help,
        labelNames: namesOf(labels),
        buckets: bucketsSeconds,
        registers,
      });
      for (const series of combinations(labels)) histogram.zero(guard.bound(name, series));
      return { observe: (series, value) => histogram.observe(guard.bound(name, series), value) };
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
