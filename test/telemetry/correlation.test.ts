import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  acceptCorrelationId,
  currentCorrelation,
  runWithCorrelation,
} from '../../src/telemetry/correlation.ts';

describe('the ids of the work at hand', () => {
  test('follow it across awaits, and never leak into work beside it', async () => {
    const work = (name: string) =>
      runWithCorrelation({ requestId: name, correlationId: `c-${name}` }, async () => {
        await setImmediate();
        return currentCorrelation();
      });
    expect(await Promise.all([work('a'), work('b')])).toEqual([
      { requestId: 'a', correlationId: 'c-a' },
      { requestId: 'b', correlationId: 'c-b' },
    ]);
    expect(currentCorrelation()).toBeUndefined();
  });
});

describe("a caller's correlation id", () => {
  test.each(['a', 'lab:42/run@7.x_y-z', 'x'.repeat(128)])('%s is kept', (id) => {
    expect(acceptCorrelationId(id)).toBe(id);
  });

  test.each([undefined, '', 'x'.repeat(129), 'two words', 'a\nb', 'ünsafe', '<script>', ['a', 'b'], 7])(
    '%j is not',
    (id) => {
      expect(acceptCorrelationId(id)).toBeUndefined();
    },
  );
});
