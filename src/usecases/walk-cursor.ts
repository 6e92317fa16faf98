import { BrokerError } from '../domain/errors.ts';
import type { Key } from '../store/dynamo/client.ts';
import { decodeScanCursor, encodeCursor, queryMark, type ScanCursor } from './cursor.ts';

type Query = readonly (string | undefined)[];

/** Where a walk over the table goes on; undefined without a cursor. Throws `INVALID_CURSOR` for another query's. */
export function placeOf(cursor: string | undefined, list: ScanCursor['list'], query: Query): Key | undefined {
  if (cursor === undefined) return undefined;
  const place = decodeScanCursor(cursor);
  if (place?.list === list && place.query === queryMark(query)) return place.last;
  throw new BrokerError('INVALID_CURSOR', 'The cursor is not one this query gave; start again without it.', {
    details: { field: 'cursor' },
  });
}

/** The cursor for what comes after a place; undefined where nothing does. */
export const cursorAfter = (
  after: Key | undefined,
  list: ScanCursor['list'],
  query: Query,
): string | undefined => after && encodeCursor({ list, query: queryMark(query), last: after });
