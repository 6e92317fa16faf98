import { giveBack, someAccounts, startCspCore, stockCsp } from '../../support/broker/csp-core.ts';
import type { FakeCsp } from '../../support/provider/fake-csp.ts';

/** The counts of a cleanup that had nothing to do. */
export const NOTHING = {
  due: 0,
  deleted: 0,
  accepted: 0,
  recycled: 0,
  failed: 0,
  parked: 0,
  still_listed: 0,
  skipped: 0,
};

/** A CSP of so many accounts, all of them leased and given back. */
export async function startWithUsed(
  endpoint: string,
  count: number,
  options: Parameters<typeof startCspCore>[1] = {},
) {
  const { core, csp, provider } = await startCspCore(endpoint, options);
  await stockCsp(core, csp, someAccounts(count));
  const used = await giveBack(core, count);
  return { core, csp, provider, used, ids: used.map((one) => one.sandboxId) };
}

/** What deletes did at CSP, over all accounts. */
export function deletesAt(csp: FakeCsp) {
  const each = [...csp.deletes.values()];
  return {
    effective: each.reduce((sum, one) => sum + one.effective, 0),
    missed: each.reduce((sum, one) => sum + one.missed, 0),
  };
}
