import { z } from 'zod';

/** What one call writes. */
export interface SentWrites {
  isTransaction: boolean;
  items: SentItem[];
}

interface SentItem {
  pk: string;
  /** Which item of the table it is. */
  id: string;
  units: number;
}

const key = z.looseObject({ pk: z.object({ S: z.string() }), sk: z.object({ S: z.string() }) });
const single = z.object({ Item: key.optional(), Key: key.optional() });
const transaction = z.object({
  TransactItems: z.array(
    z.object({
      Put: single.optional(),
      Update: single.optional(),
      Delete: single.optional(),
      ConditionCheck: single.optional(),
    }),
  ),
});

const SINGLE_WRITES = ['PutItem', 'UpdateItem', 'DeleteItem'];

/** The writes of a call of this operation, from its body; undefined for reads and for what concerns tables. */
export function writesOf(operation: string, body: Buffer): SentWrites | undefined {
  if (operation === 'TransactWriteItems') {
    const { TransactItems } = transaction.parse(JSON.parse(body.toString()));
    const items = TransactItems.flatMap(({ Put, Update, Delete, ConditionCheck }) =>
      itemsOf(Put ?? Update ?? Delete ?? ConditionCheck, 2),
    );
    return { isTransaction: true, items };
  }
  if (!SINGLE_WRITES.includes(operation)) return undefined;
  return { isTransaction: false, items: itemsOf(single.parse(JSON.parse(body.toString())), 1) };
}

/**
 * What DynamoDB charges, in write units of 1 KB, which none of the broker's records exceeds:
 *
 *     the record itself       1, in a transaction 2 (it is prepared, then committed)
 *     its local indexes       2 for a sandbox: with each change an entry goes and another comes
 *
 * A lease (key, sandbox, event) is 2 + 4 + 2 = 8 units, 4 of them in the sandbox's partition.
 */
function itemsOf(write: z.infer<typeof single> | undefined, recordUnits: number): SentItem[] {
  const written = write?.Item ?? write?.Key;
  if (!written) return [];
  const { pk, sk } = written;
  const units = recordUnits + ('status_key' in written || 'due_key' in written ? 2 : 0);
  return [{ pk: pk.S, id: `${pk.S} ${sk.S}`, units }];
}
