import type { SyncCounts } from '../../../src/usecases/inventory/sync-inventory.ts';
import type { TestCore } from '../../support/broker/core.ts';
import { someAccounts, startCspCore, stockCsp } from '../../support/broker/csp-core.ts';
import { type FakeAccount, type FakeCsp, uuidOf } from '../../support/provider/fake-csp.ts';

/** The counts of a sync that changed nothing. */
export const NOTHING: Omit<SyncCounts, 'listed' | 'unchanged'> = {
  created: 0,
  updated: 0,
  restored: 0,
  revived: 0,
  stale: 0,
  gone: 0,
  delete_again: 0,
  recent: 0,
  still_listed: 0,
  skipped: 0,
  stale_refused: 0,
  duplicates: 0,
  invalid: 0,
};

/** Starts with so many accounts at CSP that the broker knows of. */
export async function startWith(endpoint: string, count: number) {
  const { core, csp } = await startCspCore(endpoint);
  const accounts = await stockCsp(core, csp, someAccounts(count));
  return { core, csp, accounts, ids: accounts.map(idOf) };
}

/** The id of the sandbox that an account becomes. */
export const idOf = (one: FakeAccount | undefined): string => String(one?.csp_id);

/** Lets accounts disappear from CSP. */
export function vanish(csp: FakeCsp, accounts: FakeAccount[]): void {
  for (const one of accounts) csp.accounts.delete(uuidOf(one));
}

/** Changes an account at CSP, wherever it is in the listing. */
export function change(csp: FakeCsp, one: FakeAccount | undefined, fields: Partial<FakeAccount>): void {
  if (one) csp.accounts.set(uuidOf(one), { ...one, ...fields });
}

/** The calls that change the table. */
export const writes = ({ calls }: TestCore): number =>
  calls.count() - calls.count('Query') - calls.count('GetItem') - calls.count('BatchGetItem');
