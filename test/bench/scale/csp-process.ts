import { account, startFakeCsp } from '../../support/provider/fake-csp.ts';

/*
 * A CSP in a process of its own: what it takes to list a large inventory is not to be felt by those who measure. Told a
 * number, it has so many accounts more, and says so.
 */

export const TOKEN = 'a-token-of-the-bench';
/** Accounts on a page of its listing. */
export const PAGE = 1_000;

/** What the process says: where it listens, then how many accounts it has. */
export type Word = { baseUrl: string } | { accounts: number };

if (process.send) {
  const csp = await startFakeCsp({ token: TOKEN });
  csp.settings.pageSize = PAGE;
  const say = (word: Word) => process.send?.(word);
  process.on('message', (more: number) => {
    for (let index = 0; index < more; index++) csp.add(account());
    say({ accounts: csp.accounts.size });
  });
  say({ baseUrl: csp.baseUrl });
}
