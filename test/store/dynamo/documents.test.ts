import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { expect, it } from 'vitest';
import { fromItem } from '../../../src/store/dynamo/documents.ts';

it('reads an item as the driver itself does, whatever is in it', () => {
  const item = marshall({
    text: 'Läb 🧪',
    empty: '',
    numbers: { zero: 0, whole: -1_700_000_000_000, part: 0.25 },
    no: false,
    nothing: null,
    list: [1, 'two', { three: 3 }, []],
    map: { inner: { deep: 'x' }, empty: {} },
    set: new Set(['a', 'b']),
    bytes: new Uint8Array([1, 2]),
    huge: 2n ** 60n,
  });
  expect(fromItem(item)).toEqual(unmarshall(item));
});
