import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createBackgroundQueue } from '../../src/safety/background-queue.ts';
import { until } from '../support/until.ts';

const drained = (queue: { length: number }) =>
  until(() => queue.length === 0, { what: 'the queue is empty' });

/** Work that waits for the test's word, item by item. */
function heldWork() {
  const begun: { item: string; signal: AbortSignal; finish: (againInMs?: number) => void }[] = [];
  const work = (item: string, signal: AbortSignal) =>
    new Promise<number | undefined>((finish) => {
      begun.push({ item, signal, finish });
    });
  return { begun, work };
}

describe('a background queue', () => {
  test('works on one item at a time, in order', async () => {
    const log: string[] = [];
    const queue = createBackgroundQueue<string>({
      capacity: 10,
      work: async (item) => {
        log.push(`begin ${item}`);
        await Promise.resolve();
        log.push(`end ${item}`);
        return undefined;
      },
    });
    expect(['a', 'b', 'c'].map((item) => queue.push(item))).toEqual([true, true, true]);
    await drained(queue);
    expect(log).toEqual(['begin a', 'end a', 'begin b', 'end b', 'begin c', 'end c']);
  });

  test('takes no more than it has room for, the one being worked on included', async () => {
    const { begun, work } = heldWork();
    const queue = createBackgroundQueue({ capacity: 2, work });
    expect(['a', 'b', 'c'].map((item) => queue.push(item))).toEqual([true, true, false]);
    begun[0]?.finish();
    await until(() => begun.length === 2, { what: 'b' });
    expect(queue.push('d')).toBe(true);
    expect(queue.length).toBe(2);
  });

  test('goes on behind an item whose work throws, and after it was empty', async () => {
    const seen: string[] = [];
    const queue = createBackgroundQueue<string>({
      capacity: 10,
      work: async (item) => {
        seen.push(item);
        throw new Error(item);
      },
    });
    queue.push('a');
    queue.push('b');
    await drained(queue);
    queue.push('c');
    await drained(queue);
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  test('tries an item again when it is told to, before those behind it', async () => {
    const seen: string[] = [];
    const queue = createBackgroundQueue<string>({
      capacity: 10,
      work: async (item) => {
        seen.push(item);
        return seen.length < 3 ? 5 : undefined;
      },
    });
    queue.push('a');
    queue.push('b');
    await drained(queue);
    expect(seen).toEqual(['a', 'a', 'a', 'b']);
  });

  test('that is closed finishes what it has and takes nothing more', async () => {
    const { begun, work } = heldWork();
    const queue = createBackgroundQueue({ capacity: 10, work });
    queue.push('a');
    queue.push('b');
    const closed = queue.close(5_000);
    expect(queue.push('c')).toBe(false);
    begun[0]?.finish();
    await until(() => begun.length === 2, { what: 'b' });
    begun[1]?.finish();
    expect(await closed).toEqual([]);
    expect(await queue.close(0)).toEqual([]);
  });

  test('that is closed does not wait for what cannot be done now, and tells what was left', async () => {
    const seen: string[] = [];
    const queue = createBackgroundQueue<string>({
      capacity: 10,
      work: async (item) => {
        seen.push(item);
        return item === 'b' ? undefined : 3_600_000;
      },
    });
    for (const item of ['a', 'b', 'c']) queue.push(item);
    // By now it rests.
    await setImmediate();
    expect(await queue.close(5_000)).toEqual(['a', 'c']);
    expect(seen).toEqual(['a', 'a', 'b', 'c']);
  });

  test('is closed in time although its work heeds no signal', async () => {
    const { begun, work } = heldWork();
    const queue = createBackgroundQueue({ capacity: 10, work });
    queue.push('a');
    queue.push('b');
    expect(await queue.close(20)).toEqual(['a', 'b']);
    expect(begun.map(({ item, signal }) => [item, signal.aborted])).toEqual([['a', true]]);
    begun[0]?.finish();
    await drained(queue);
    expect(begun).toHaveLength(1);
  });

  test.each([0, -1, 1.5, Number.NaN])('refuses a capacity of %d', (capacity) => {
    expect(() => createBackgroundQueue({ capacity, work: async () => undefined })).toThrow(RangeError);
  });
});
