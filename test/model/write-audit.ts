import type { Sandbox } from '../../src/domain/sandbox.ts';
import { effectKey } from '../../src/safety/effects/effect-key.ts';

/** Watches what the store has taken, in the order in which it took it. */
export interface WriteAudit {
  /** The store has carried this out; `input` is a driver's. */
  committed(input: object): void;
  /** Told before the provider deletes what has this record. */
  deletes(sandboxId: string, record: Sandbox | undefined): void;
}

/**
 * Every write of a sandbox follows from the one before it, whose generation it counts on; and no line of a history is
 * written over. Whoever decides on what is no longer so is found out even where nothing else comes of it.
 * The provider deletes only what is marked for it, and nothing twice that the store once knew to be deleted.
 */
export function createWriteAudit(onFinding: (message: string) => void): WriteAudit {
  const generations = new Map<string, number>();
  const events = new Set<string>();
  const completed = new Set<string>();

  function look(item: Record<string, unknown>, isHandOver = false): void {
    const pk = textOf(item['pk']);
    const sk = textOf(item['sk']);
    if (pk.startsWith('H#')) {
      if (events.has(`${pk}/${sk}`)) onFinding(`stale_write: the event ${pk} ${sk} was written over`);
      events.add(`${pk}/${sk}`);
    } else if (pk.startsWith('B#')) {
      const generation = Number(textOf(item['generation']));
      const before = generations.get(sk);
      // What becomes free and goes to a place in the line does so in one step.
      const isNext =
        before !== undefined && (generation === before + 1 || (isHandOver && generation === before + 2));
      if (before !== undefined && !isNext)
        onFinding(`stale_write: ${sk} went from generation ${before} to ${generation}`);
      generations.set(sk, generation);
    }
  }

  return {
    committed(input) {
      if ('Key' in input && 'ExpressionAttributeValues' in input && isObject(input.Key)) {
        const pk = textOf(input.Key['pk']);
        const values = input.ExpressionAttributeValues;
        if (isObject(values) && textOf(values[':state']) === 'completed') completed.add(pk);
      }
      if ('Item' in input && isObject(input.Item)) look(input.Item);
      if (!('TransactItems' in input) || !Array.isArray(input.TransactItems)) return;
      const isHandOver = input.TransactItems.some(
        ({ Delete }) => isObject(Delete?.Key) && textOf(Delete.Key['pk']).startsWith('LINE#'),
      );
      for (const { Put } of input.TransactItems) if (isObject(Put?.Item)) look(Put.Item, isHandOver);
    },

    deletes(sandboxId, record) {
      if (record?.status !== 'pending_deletion' && record?.status !== 'deletion_failed') {
        onFinding(`unfounded_delete: the provider deletes ${sandboxId} while it is ${record?.status}`);
        return;
      }
      const { lease, cleanup } = record;
      const entity = [sandboxId, lease.leaseId];
      const effect = effectKey({ type: 'csp_delete', entity, generation: cleanup.requestedAt });
      if (completed.has(effect))
        onFinding(`repeated_delete: the provider deletes ${sandboxId}, which the store knew to be done`);
    },
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** The value of a string or a number in DynamoDB's own form. */
const textOf = (value: unknown): string => {
  if (!isObject(value)) return '';
  return String(value['S'] ?? value['N'] ?? '');
};
