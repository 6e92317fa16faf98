import { request } from 'undici';
import { DEVELOPMENT_TOKENS } from '../../src/config/variables.ts';
import { snapshotAll, untilBeaten } from './replica.ts';
import { withPool, withReplicas } from './stage.ts';
import { percentile, sum } from './statistics.ts';

/** What it takes to find something, by the API. */
export interface LookUp {
  what: string;
  sandboxes: number;
  /** In the answer. */
  found: number;
  /** Per look-up, loops and beats included. */
  storeCalls: number;
  p50Ms: number;
  p99Ms: number;
}

const FREE = 100;

/** Looks for a sandbox or a holder in a large pool, one look-up after the other. */
export async function lookUps(sandboxes: number, times: number): Promise<LookUp[]> {
  return await withPool({ size: sandboxes, leased: sandboxes - FREE }, (pool) =>
    withReplicas(pool, 1, async ({ replicas, urlFor }) => {
      const url = urlFor(0);
      const lease = async (holder: string, key?: string): Promise<string> => {
        const { statusCode, body } = await request(`${url}/v1/allocate`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${DEVELOPMENT_TOKENS.track}`,
            'x-track-id': holder,
            ...(key !== undefined && { 'idempotency-key': key }),
          },
        });
        if (statusCode !== 201) throw new Error(`no lease for ${holder}: ${statusCode}`);
        return ((await body.json()) as { sandbox_id: string }).sandbox_id;
      };
      const id = await lease('by-its-name');
      for (const key of ['one', 'two', 'three']) await lease('by-keys', key);

      const looked: LookUp[] = [];
      for (const [what, path] of [
        ['an id, with its history', `/${id}`],
        ['a holder, default key', '?holder=by-its-name'],
        ['a holder, three leases under keys of its own', '?holder=by-keys'],
        ['a holder that has nothing', '?holder=nobody'],
        ['the search box: an id', `?find=${id}`],
        ['the search box: a holder, keys of its own', '?find=by-keys'],
      ] as const) {
        const look = async () => {
          const startedMs = performance.now();
          const { statusCode, body } = await request(`${url}/v1/admin/sandboxes${path}`, {
            headers: { authorization: `Bearer ${DEVELOPMENT_TOKENS.admin}` },
          });
          const answer = (await body.json()) as { count?: number };
          if (statusCode !== 200) throw new Error(`${path} is ${statusCode}`);
          return { ms: performance.now() - startedMs, found: answer.count ?? 1 };
        };
        for (let warm = 0; warm < times / 4; warm++) await look();
        await untilBeaten(replicas, 1);
        const before = await snapshotAll(replicas);
        const looks: Awaited<ReturnType<typeof look>>[] = [];
        for (let time = 0; time < times; time++) looks.push(await look());
        const after = await snapshotAll(replicas);
        const calls = sum(Object.values(after.storeCalls)) - sum(Object.values(before.storeCalls));
        const latencies = looks.map(({ ms }) => ms);
        looked.push({
          what,
          sandboxes,
          found: looks[0]?.found ?? 0,
          storeCalls: calls / times,
          p50Ms: percentile(latencies, 0.5),
          p99Ms: percentile(latencies, 0.99),
        });
      }
      return looked;
    }),
  );
}
