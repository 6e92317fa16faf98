/** Watches what the store has taken, in the order in which it took it. */
export interface WriteAudit {
  /** The store has carried this out; `input` is a driver's. */
  committed(input: object): void;
}

/**
 * Every write of a sandbox follows from the one before it, whose generation it counts on; and no line of a history is
 * written over. Whoever decides on what is no longer so is found out even where nothing else comes of it.
 */
export function createWriteAudit(onFinding: (message: string) => void): WriteAudit {
  const generations = new Map<string, number>();
  const events = new Set<string>();

  function look(item: Record<string, unknown>): void {
    const pk = textOf(item['pk']);
    const sk = textOf(item['sk']);
    if (pk.startsWith('H#')) {
      if (events.has(`${pk}/${sk}`)) onFinding(`stale_write: the event ${pk} ${sk} was written over`);
      events.add(`${pk}/${sk}`);
    } else if (pk.startsWith('B#')) {
      const generation = Number(textOf(item['generation']));
      const before = generations.get(sk);
      if (before !== undefined && generation !== before + 1)
        onFinding(`stale_write: ${sk} went from generation ${before} to ${generation}`);
      generations.set(sk, generation);
    }
  }

  return {
    committed(input) {
      if ('Item' in input && isObject(input.Item)) look(input.Item);
      if (!('TransactItems' in input) || !Array.isArray(input.TransactItems)) return;
      for (const { Put } of input.TransactItems) if (isObject(Put?.Item)) look(Put.Item);
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
