import { z } from 'zod';
import type { InventoryItem } from '../domain/inventory.ts';

/** What a sandbox id may look like: it stands in URLs, keys and log lines. `.` and `..` would be path steps. */
const SANDBOX_ID = /^(?!\.{1,2}$)[A-Za-z0-9._:@-]{1,128}$/;
const MAX_EXTERNAL_ID_CHARS = 512;
/** Keeps a sandbox's record small whatever CSP sends. */
const MAX_TEXT_CODE_POINTS = 256;
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}]/gu;

/**
 * CSP sends ids as strings or as numbers. A number beyond 2^53 has lost digits while the JSON was read: it would name
 * another account, so it counts as no id at all.
 */
const idText = z
  .union([z.string(), z.int().nonnegative().transform(String)])
  .nullish()
  .catch(undefined);

const accountSchema = z.object({
  account_type: z.unknown().optional(),
  state: z.unknown().optional(),
  id: idText,
  csp_id: idText,
  name: z.string().nullish().catch(undefined),
  created_at: idText,
  sfdc_account_id: idText,
});

/** One page of `GET /current_user/accounts`. `next` is the link to the following page, where CSP paginates. */
export const accountsPageSchema = z.object({
  results: z.array(z.unknown()),
  next: z.string().nullish(),
});

/**
 * What an entry of a page is to the broker: an item, `other` (no sandbox, or not active), or `invalid`: an active sandbox
 * without an id to lease it by (`csp_id`) or without one to delete it by (`id`). Undefined: it is no account.
 */
export function readAccount(entry: unknown): InventoryItem | 'other' | 'invalid' | undefined {
  const { data: account } = accountSchema.safeParse(entry);
  if (!account) return undefined;
  const { account_type, state } = account;
  if (account_type !== 'sandbox' || state !== 'active') return 'other';

  const sandboxId = account.csp_id ?? '';
  const externalId = account.id ?? '';
  if (!SANDBOX_ID.test(sandboxId) || externalId.length > MAX_EXTERNAL_ID_CHARS) return 'invalid';
  if (accountUuid(externalId) === undefined) return 'invalid';

  const metadata: Record<string, string> = { account_type, state };
  const createdAt = cleanText(account.created_at);
  if (createdAt !== '') metadata.created_at = createdAt;
  const sfdcAccountId = cleanText(account.sfdc_account_id);
  if (sfdcAccountId !== '') metadata.sfdc_account_id = sfdcAccountId;

  return { sandboxId, externalId, name: cleanText(account.name) || sandboxId, metadata };
}

/** The part of an external id that names the account in CSP's paths; `undefined` where there is none to use safely. */
export function accountUuid(externalId: string): string | undefined {
  const uuid = externalId.slice(externalId.lastIndexOf('/') + 1);
  // An empty name would delete the collection, a dot would delete the parent; a broken surrogate cannot be encoded.
  if (uuid.trim() === '' || uuid === '.' || uuid === '..' || !uuid.isWellFormed()) return undefined;
  return uuid;
}

/** Well-formed, so that what comes back from the table equals what CSP says and an unchanged name stays unchanged. */
function cleanText(text: string | null | undefined): string {
  const trimmed = (text ?? '').toWellFormed().replace(UNPRINTABLE, ' ').trim();
  // A code point has two code units at most: the slice keeps a hostile name from becoming an array of millions.
  const codePoints = [...trimmed.slice(0, MAX_TEXT_CODE_POINTS * 2)];
  return codePoints.slice(0, MAX_TEXT_CODE_POINTS).join('').trimEnd();
}
