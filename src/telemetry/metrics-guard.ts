/** What became of a metric's label that the guard looked at. */
export interface GuardedLabel {
  metric: string;
  label: string;
  /** Different values seen, `other` not counted. */
  values: number;
  /** How often a new value was counted as `other`. */
  capped: number;
}

export interface MetricsGuardReport {
  mode: 'strict' | 'warn';
  maxValues: number;
  labels: GuardedLabel[];
  /** Violations by metric: identifiers as labels, and values beyond the limit. */
  violations: Record<string, number>;
}

/** Keeps a metric's number of series bounded, whatever callers send. */
export interface MetricsGuard {
  /**
   * Looks at a new metric's label names. A name that will have a value per request is refused: `RangeError` in strict
   * mode, counted in warn mode.
   */
  register(metric: string, labelNames: readonly string[]): void;
  /** The labels to count under: a value beyond the limit becomes `other`; one that is known stays. */
  bound<L extends string>(metric: string, labels: Record<L, string>): Record<L, string>;
  report(): MetricsGuardReport;
}

export interface MetricsGuardOptions {
  /** `warn` unless told otherwise. */
  mode?: 'strict' | 'warn';
  /** Values a label may have, >= 1. */
  maxValues?: number;
  /** Told about every violation. */
  onViolation?: (metric: string) => void;
}

export const MAX_LABEL_VALUES = 100;
const OTHER = 'other';

/** Names without a telling end whose values are one per caller, sandbox or request all the same. */
const IDENTIFIERS = new Set([
  'id',
  'uuid',
  'guid',
  'user',
  'username',
  'email',
  'holder',
  'track',
  'sandbox',
  'lease',
  'session',
  'token',
  'ip',
  'address',
  'url',
  'uri',
  'path',
  'query',
  'trace',
  'span',
]);

/** True for a label that would make a series per value: `sandbox_id`, `sandboxId`, `SANDBOX-ID`, `created_timestamp`. */
export function isIdentifier(label: string): boolean {
  const snake = label
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toLowerCase();
  return /_(id|uuid|guid)$/.test(snake) || snake.includes('timestamp') || IDENTIFIERS.has(snake);
}

/** Throws `RangeError` for a limit that is not a whole number >= 1. */
export function createMetricsGuard(options: MetricsGuardOptions = {}): MetricsGuard {
  const { mode = 'warn', maxValues = MAX_LABEL_VALUES, onViolation } = options;
  if (!Number.isSafeInteger(maxValues) || maxValues < 1) {
    throw new RangeError(`maxValues must be a whole number >= 1, not ${maxValues}`);
  }
  const seen = new Map<string, { metric: string; label: string; values: Set<string>; capped: number }>();
  const violations = new Map<string, number>();

  const violate = (metric: string) => {
    violations.set(metric, (violations.get(metric) ?? 0) + 1);
    onViolation?.(metric);
  };

  const entryOf = (metric: string, label: string) => {
    const key = `${metric} ${label}`;
    const entry = seen.get(key) ?? { metric, label, values: new Set<string>(), capped: 0 };
    seen.set(key, entry);
    return entry;
  };

  return {
    register(metric, labelNames) {
      for (const label of labelNames) {
        if (isIdentifier(label)) {
          violate(metric);
          if (mode === 'strict') {
            throw new RangeError(
              `${metric} may not have the label ${label}: it would make a series per value`,
            );
          }
        }
        entryOf(metric, label);
      }
    },

    bound(metric, labels) {
      const bounded = { ...labels };
      for (const label in labels) {
        const value = labels[label];
        const entry = entryOf(metric, label);
        if (value === OTHER || entry.values.has(value)) continue;
        if (entry.values.size < maxValues) {
          entry.values.add(value);
          continue;
        }
        entry.capped++;
        violate(metric);
        bounded[label] = OTHER;
      }
      return bounded;
    },

    report: () => ({
      mode,
      maxValues,
      labels: [...seen.values()].map(({ values, ...entry }) => ({ ...entry, values: values.size })),
      violations: Object.fromEntries(violations),
    }),
  };
}
