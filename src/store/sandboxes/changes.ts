import type { SandboxEvent } from '../../domain/event.ts';
import type { AvailableSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { IS_NEW, IS_UNCHANGED } from './conditions.ts';
import { putEvent } from './events.ts';
import { dropPointer } from './holders.ts';
import { toSandboxItem } from './items.ts';
import { changeKey } from './lease-keys.ts';

/** A sandbox's record as it was read (absent: it is new), as it shall be, and the event if its status changes. */
export interface Change {
  seen: Sandbox | undefined;
  next: Sandbox;
  event?: SandboxEvent | undefined;
}

export type Freeing = Change & { next: AvailableSandbox };

/** What a change writes into a table that was laid out with `buckets`. */
export interface ChangeItems {
  /** The sandbox's record, if nobody has changed it since it was read. */
  put(change: Change, writeId: string): Extract<TransactItems[number]['Put'], object>;
  /** What becomes of the key of its lease. */
  changeKey(change: Change): TransactItems;
  /** What leads from a holder to a sandbox that is not its any more. */
  dropPointer(change: Change): TransactItems;
  /** All of it. */
  all(change: Change, writeId: string): TransactItems;
}

export function createChangeItems(table: string, buckets: number): ChangeItems {
  const put: ChangeItems['put'] = ({ seen, next }, writeId) => ({
    TableName: table,
    Item: toSandboxItem(next, buckets, writeId),
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    ...(seen
      ? { ConditionExpression: IS_UNCHANGED, ExpressionAttributeValues: { ':seen': seen.generation } }
      : { ConditionExpression: IS_NEW }),
  });

  return {
    put,
    changeKey: (change) => changeKey(table, change),
    dropPointer: ({ seen, next }) => dropPointer(table, seen, next),
    all: (change, writeId) => [
      { Put: put(change, writeId) },
      ...(change.event ? [putEvent(table, change.event)] : []),
      ...changeKey(table, change),
      ...dropPointer(table, change.seen, change.next),
    ],
  };
}
