import { expect, test } from 'vitest';
import { everywhere } from '../../src/usecases/everywhere.ts';

test('all records are read page by page, bucket by bucket, and never so many at once that others wait for long', async () => {
  const pages = [[['a', 'b'], ['c']], [[]], [['d']]];
  const asked: { bucket: number; limit: number }[] = [];
  const read = async ({ bucket, after, limit }: Parameters<Parameters<typeof everywhere>[1]>[0]) => {
    asked.push({ bucket, limit });
    const page = Number(after?.page ?? 0);
    const sandboxes = pages[bucket]?.[page] ?? [];
    const isLast = page + 1 >= (pages[bucket]?.length ?? 0);
    return { sandboxes, lookedAt: sandboxes.length, ...(!isLast && { after: { page: page + 1 } }) };
  };
  const found: string[] = [];
  for await (const each of everywhere(3, read)) found.push(each);
  expect(found).toEqual(['a', 'b', 'c', 'd']);
  expect(asked).toEqual([0, 0, 1, 2].map((bucket) => ({ bucket, limit: 250 })));
});
