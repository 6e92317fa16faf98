import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { LOCAL_CREDENTIALS } from './broker/core.ts';
import { readTable } from './store/table-audit.ts';

const LOOPS = ['sync', 'cleanup', 'expiry', 'purge', 'counts'];

/** What a broker that is gone may have left in its table. */
export interface Leftovers {
  /** Loops that have run at all. */
  loops: string[];
  /** Loops whose turn nobody else can take at this moment. */
  heldTurns: string[];
  /** Replicas that still count as present. */
  replicas: string[];
  /** Sandboxes that a cleaner claims. */
  claimed: string[];
}

/** Looks into the table that `endpoint` has under this name. */
export async function readLeftovers(endpoint: string, table = 'SandboxPool'): Promise<Leftovers> {
  const client = createStoreClient({ endpoint, table, region: 'local', credentials: LOCAL_CREDENTIALS });
  try {
    const turns = await Promise.all(
      LOOPS.map(async (loop) => ({ loop, turn: await client.get({ pk: `TURN#${loop}`, sk: 'T' }) })),
    );
    const { items } = await client.query({
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': 'REPLICAS' },
    });
    return {
      loops: turns.filter(({ turn }) => turn !== undefined).map(({ loop }) => loop),
      heldTurns: turns.filter(({ turn }) => Number(turn?.until_ms) > Date.now()).map(({ loop }) => loop),
      replicas: items.map(({ sk }) => String(sk)),
      claimed: (await readTable(client))
        .filter(({ claim_id: claimId }) => claimId !== undefined)
        .map(({ id }) => String(id)),
    };
  } finally {
    client.close();
  }
}
