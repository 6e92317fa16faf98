import { expect, test } from 'vitest';
import { type FarStoreOptions, type FarStorm, stormOnFarStore } from './far-store.ts';

const CALLERS = 1_000;
/** Of sixteen leases each, and four of one to begin with. */
const FEWEST_TRANSACTIONS = 4 + Math.ceil((CALLERS - 4) / 16);

const percentile = ({ tookMs }: FarStorm, part: number) => tookMs[Math.ceil(part * tookMs.length) - 1];
const storm = (options: FarStoreOptions) => stormOnFarStore(CALLERS, options);
/** As an engine on this machine: it does one transaction after the other, and a large one takes longer. */
const LOCAL = { isLocal: true, latencyMs: (items: number) => 1 + 0.4 * items };

test('a thousand callers have their leases by full transactions, four at a time, on a store that is well', async () => {
  const seen = await storm({});
  expect(seen).toMatchObject({ failed: 0, transactions: FEWEST_TRANSACTIONS, calls: FEWEST_TRANSACTIONS });
  // Of the 67 one may be late, and its answer comes all the same.
  expect(seen.underWay).toBeLessThanOrEqual(5);
  expect(seen.gaveUpAfterMs).toEqual([]);
});

test('a local engine is never asked for more than four at a time, however busy it is', async () => {
  for (const options of [LOCAL, { ...LOCAL, latencyMs: (items: number) => 20 + 6 * items }]) {
    const seen = await storm(options);
    expect(seen).toMatchObject({ failed: 0, underWay: 4, transactions: FEWEST_TRANSACTIONS });
    expect(seen.gaveUpAfterMs).toEqual([]);
  }
});

test('where a tenth of the calls is lost, the others do not wait for them', async () => {
  for (const seed of [1, 4, 6]) {
    const seen = await storm({ lost: 0.1, seed });
    expect(seen.failed).toBe(0);
    expect(seen.underWay).toBeGreaterThan(5);
    expect(seen.underWay).toBeLessThanOrEqual(16);
    // They took 3.5, 1 and 6.8 s, and the last tenth 6.8 to 10.3 s, while four at a time waited for them.
    expect(percentile(seen, 0.5)).toBeLessThan(700);
    expect(percentile(seen, 0.9)).toBeLessThan(2_000);
    // And a loss is felt for a second, not for three.
    expect(seen.gaveUpAfterMs.length).toBeGreaterThan(5);
    expect(seen.gaveUpAfterMs.filter((ms) => ms > 1_010)).toEqual([]);
  }
});

test('a store that stands still is asked once more after a second, and then left alone', async () => {
  const seen = await storm({ frozenMs: 5_000 });
  expect(seen.failed).toBe(0);
  expect(seen.transactions).toBeLessThanOrEqual(FEWEST_TRANSACTIONS + 8);
  // The four that were under way, and the reads of what became of them, after 1 s, …
  expect(seen.gaveUpAfterMs.slice(0, 8).filter((ms) => ms > 1_010)).toEqual([]);
  // … and what followed them after as long as a call may take.
  expect(seen.gaveUpAfterMs.slice(8).filter((ms) => ms < 3_000)).toEqual([]);
});

test('one on this machine that stands still is given the whole time, and asked for four at a time', async () => {
  const seen = await storm({ ...LOCAL, frozenMs: 2_900 });
  expect(seen).toMatchObject({ failed: 0, underWay: 4, transactions: FEWEST_TRANSACTIONS });
  expect(seen.gaveUpAfterMs).toEqual([]);
});
