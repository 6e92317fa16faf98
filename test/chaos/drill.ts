import { performance } from 'node:perf_hooks';
import type { Answer } from '../support/broker/broker-process.ts';

/** One promise of a drill, and what became of it. */
export interface Finding {
  promised: string;
  saw: string;
  kept: boolean;
}

export const finding = (promised: string, kept: boolean, saw: string): Finding => ({ promised, saw, kept });

/** Waits for what is promised; that it did not come in time is a finding, not an end of the drill. */
export async function arrives(promised: string, wait: () => Promise<unknown>): Promise<Finding> {
  const startedMs = performance.now();
  try {
    await wait();
    return finding(promised, true, `after ${Math.round(performance.now() - startedMs)} ms`);
  } catch (error) {
    return finding(promised, false, error instanceof Error ? error.message : String(error));
  }
}

/** How often each value occurs, for people: `201 × 1, 200 × 4`. */
export function countsOf(values: readonly (string | number)[]): string {
  const counts = new Map<string | number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => `${value} × ${count}`).join(', ') || 'nothing';
}

/** The status, and of a refusal its code. */
export const kindOf = ({ status, json }: Answer): string =>
  json.error === undefined ? String(status) : `${status} ${json.error.code}`;
