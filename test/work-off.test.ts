import { describe, expect, test } from 'vitest';
import { workOff } from '../src/work-off.ts';

async function* upTo(count: number) {
  for (let n = 1; n <= count; n++) yield n;
}

function stage(signal = new AbortController().signal) {
  const told: number[] = [];
  return { told, options: { atOnce: 3, signal, onFailure: (item: number) => told.push(item) } };
}

describe('work on many things', () => {
  test('goes on past those that fail, counts them, and says which', async () => {
    const { told, options } = stage();
    const done: number[] = [];
    const work = async (n: number) => {
      if (n % 4 === 0) throw new Error(`${n} fails`);
      done.push(n);
    };
    expect(await workOff(upTo(40), work, options)).toEqual({ failed: 10 });
    expect(told).toEqual([4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
    expect(done).toHaveLength(30);
  });

  test('has so many under way at once and no more', async () => {
    const { options } = stage();
    let now = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++now);
      await new Promise(setImmediate);
      now--;
    };
    await workOff(upTo(20), work, options);
    expect(most).toBe(3);
    expect(now).toBe(0);
  });

  test('fails where everything does, and ends where there is no point in going on', async () => {
    const { told, options } = stage();
    const down = async () => {
      throw new Error('the store is away');
    };
    await expect(workOff(upTo(2), down, options)).rejects.toThrow('the store is away');
    await expect(workOff(upTo(10_000), down, options)).rejects.toThrow('the store is away');
    expect(told.length).toBeLessThan(20);
  });

  test('throws what reading throws, once what is under way has ended', async () => {
    const { options } = stage();
    let ended = false;
    async function* broken() {
      yield 1;
      throw new Error('cannot be read');
    }
    const work = async () => {
      await new Promise(setImmediate);
      ended = true;
    };
    await expect(workOff(broken(), work, options)).rejects.toThrow('cannot be read');
    expect(ended).toBe(true);
  });

  test('begins no more once it is told to stop, and tells of no failure that comes of it', async () => {
    const stopping = new AbortController();
    const { told, options } = stage(stopping.signal);
    const begun: number[] = [];
    const work = async (n: number) => {
      begun.push(n);
      if (n === 5) stopping.abort();
      stopping.signal.throwIfAborted();
    };
    expect(await workOff(upTo(40), work, options)).toEqual({ failed: 0 });
    expect(begun.length).toBeLessThanOrEqual(7);
    expect(told).toEqual([]);
  });
});
