import { z } from 'zod';
import { SANDBOX_STATUSES } from '../domain/sandbox.ts';

const TEXT_LENGTH = 128;
export const MAX_GRACE_HOURS = 8760;
export const EXPORT_FORMATS = ['json', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** A text with these bounds, and one sentence for every way to miss them. */
function matching(pattern: RegExp, allowed: string, description: string) {
  return z
    .string({ error: `must be ${allowed}` })
    .regex(pattern, `must be ${allowed}`)
    .describe(description);
}

/** Node hands out header bytes as latin1; most clients mean UTF-8. Bytes that are no UTF-8 stay what they are. */
function decodeHeader(value: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'));
  } catch {
    return value;
  }
}

function isText(value: string): boolean {
  return value.length >= 1 && value.length <= TEXT_LENGTH && !/\p{Cc}/u.test(value);
}

const text = z
  .string()
  .refine(isText, `must be 1 to ${TEXT_LENGTH} characters, none of them a control character`)
  .meta({ minLength: 1, maxLength: TEXT_LENGTH });

const headerText = (description: string) =>
  z.string().transform(decodeHeader).pipe(text).meta({ minLength: 1, maxLength: TEXT_LENGTH, description });

/** A number from a query: digits only, where `Number` alone would take '', '0x10' and '1e9'. */
export function decimal(schema: (error: string) => z.ZodNumber, allowed: string) {
  const read = (value: unknown) =>
    typeof value === 'string' && /^\d{1,12}(\.\d{1,9})?$/.test(value) ? Number(value) : value;
  return z.preprocess(read, schema(`must be ${allowed}`));
}

const holder = (description: string) =>
  matching(/^[A-Za-z0-9._:@/-]{1,128}$/, '1 to 128 of A-Z a-z 0-9 . _ : @ / -', description);

/** A parameter with a default, which the generator would not find behind the reading of it. */
export function withDefault<Value>(
  schema: z.ZodType<Value>,
  value: z.core.util.NoUndefined<Value>,
  description: string,
) {
  return schema.default(value).meta({ description, default: value });
}

/** How many of a list come at once. */
export const pageLimit = (description: string) =>
  withDefault(
    decimal(
      (error) => z.number({ error }).int(error).min(1, error).max(100, error),
      'a whole number from 1 to 100',
    ),
    50,
    description,
  );

/** Where a list goes on. */
export const pageCursor = z.string().max(2048).optional().describe('From the page before of the same query.');

/** The holder's names on every call of a track. One of the two is needed; the first one counts. */
export const holderHeaders = z.object({
  'x-instruqt-sandbox-id': holder('The holder: who gets the lease and may give it back.').optional(),
  'x-track-id': holder(
    'The holder, where there is no X-Instruqt-Sandbox-ID. One of the two is needed.',
  ).optional(),
});

const idempotencyKey = (description: string) =>
  matching(/^[\x21-\x7e]{1,255}$/, '1 to 255 visible ASCII characters', description).optional();

const namePrefixHeader = headerText('Only a sandbox whose name begins so. UTF-8.').optional();

export const reportHeaders = holderHeaders.extend({ 'x-sandbox-name-prefix': namePrefixHeader });

export const allocateHeaders = holderHeaders.extend({
  'x-instruqt-track-id': headerText('The lab the holder runs; for operators.').optional(),
  'x-sandbox-name-prefix': namePrefixHeader,
  prefer: z
    .string()
    .optional()
    .describe(
      '`wait=<seconds>`: wait in line for so long, 60 at the most, where nothing is free (RFC 7240).',
    ),
  'idempotency-key': idempotencyKey(
    'The same key gives the same lease again, and never another one for a day. Without it the holder is the key, and free again after its lease.',
  ),
});

/** Who has something by a key, as it asked for it. */
export const keyHeaders = holderHeaders.extend({
  'idempotency-key': idempotencyKey('That of the allocate; without it the holder is the key.'),
});

export const sandboxParams = z.object({
  id: matching(
    /^[A-Za-z0-9._:@-]{1,128}$/,
    '1 to 128 of A-Z a-z 0-9 . _ : @ -',
    "The sandbox's id, as the allocation gave it.",
  ),
});

/** A body that may be left out. Fastify says `null` where there is none. */
const optionalBody = <Shape extends z.core.$ZodLooseShape>(shape: Shape, allowed: string) =>
  z.preprocess(
    (body) => body ?? {},
    z.strictObject(shape, {
      error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : `must be ${allowed}`),
    }),
  );

/** Nothing, or an object with nothing in it. */
export const emptyBody = optionalBody({}, 'empty or {}');

/** A number in a JSON body: never a text that looks like one. */
const wholeNumber = (min: number, max: number, description: string) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, error).max(max, error).describe(description);
};

const YEAR_SECONDS = 8760 * 3600;
const duration = wholeNumber(
  1,
  YEAR_SECONDS,
  'How long the lease shall last, seconds: LAB_DURATION_HOURS by default, MAX_LEASE_HOURS at the most.',
);

export const allocateBody = optionalBody(
  {
    count: wholeNumber(
      2,
      16,
      'So many sandboxes, all or none; one without it. Who asks for several cannot wait in line for them.',
    ).optional(),
    duration_seconds: duration.optional(),
    heartbeat_seconds: wholeNumber(
      30,
      3600,
      'The holder promises a sign of life this often, seconds; without it and 30 seconds of grace the lease is over.',
    ).optional(),
    wait_seconds: wholeNumber(
      0,
      60,
      'Wait in line for so long where nothing is free, seconds; as Prefer: wait=<seconds>, which it outweighs.',
    ).optional(),
    priority: wholeNumber(
      0,
      9,
      'Of the place in the line: the highest is served first, and within one whoever joined first. 0 by default.',
    ).optional(),
  },
  'an object',
);

const leaseId = text
  .optional()
  .describe('Only if the sandbox still has this lease of the holder. Else 409 LEASE_OVER.');

const extensionSeconds = wholeNumber(
  1,
  YEAR_SECONDS,
  'From now to the new end of the lease, seconds. It is never beyond MAX_LEASE_HOURS after the begin, and never earlier than before.',
);

export const extendBody = optionalBody(
  { duration_seconds: extensionSeconds, lease_id: leaseId },
  'an object',
);

/** An operator names the lease in the query, as with every other hand. */
export const extendForHolderBody = optionalBody({ duration_seconds: extensionSeconds }, 'an object');

export const heartbeatBody = optionalBody({ lease_id: leaseId }, 'an object');

export const reportBody = optionalBody(
  {
    reason: text.describe('What is wrong with it.'),
    replace: z
      .boolean({ error: 'must be true or false' })
      .optional()
      .describe('Lease another sandbox to the same key instead, or give it a place at the head of the line.'),
    lease_id: leaseId,
  },
  'an object',
);

/** For endpoints that take no parameters: whoever sends one meant something by it. */
export const noQuery = z.strictObject({});

export const listQuery = z.strictObject({
  status: z
    .enum(SANDBOX_STATUSES, { error: `must be one of ${SANDBOX_STATUSES.join(', ')}` })
    .optional()
    .describe('Only sandboxes in this status; without it the whole pool, tombstones left out.'),
  prefix: text.optional().describe('Only sandboxes whose name begins so.'),
  holder: text
    .optional()
    .describe(
      'Only sandboxes of exactly this holder: all that it has, and what it gave back until that is clean. Found at once, ' +
        'however large the pool is; with status=deleted it is looked for.',
    ),
  holder_prefix: text
    .optional()
    .describe('Only sandboxes with a lease, running or over, whose holder begins so.'),
  find: text
    .optional()
    .describe('What one has: an id, a whole holder, or the beginning of a name. The exact ones come first.'),
  lab: text.optional().describe('Only sandboxes with a lease, running or over, whose lab begins so.'),
  limit: pageLimit('Sandboxes on a page.'),
  cursor: pageCursor,
});

export const exportQuery = listQuery.omit({ limit: true, cursor: true }).extend({
  format: withDefault(
    z.enum(EXPORT_FORMATS, { error: `must be one of ${EXPORT_FORMATS.join(', ')}` }),
    'json',
    'CSV has a first line of names, and empty cells for what makes no sense in a status.',
  ),
});

export const operateQuery = z.strictObject({
  lease_id: text
    .optional()
    .describe('Only if the sandbox still has this lease: the one that was looked at. Else 409 LEASE_OVER.'),
});

export const quarantineBody = optionalBody(
  {
    reason: text.describe('Why, for whoever looks at it.'),
    end_lease: z
      .boolean({ error: 'must be true or false' })
      .optional()
      .describe(
        'End a lease that it has. Else that goes on, and the sandbox is out of the pool when it is over.',
      ),
  },
  'an object',
);

export const syncQuery = z.strictObject({
  force: withDefault(
    z.preprocess(
      (value) => (value === 'true' ? true : value === 'false' ? false : value),
      z.boolean({ error: 'must be true or false' }),
    ),
    false,
    'Mark as many stale as are missing, however many that is.',
  ),
});

export const purgeQuery = z.strictObject({
  grace_period_hours: withDefault(
    decimal(
      (error) => z.number({ error }).min(0, error).max(MAX_GRACE_HOURS, error),
      `a number from 0 to ${MAX_GRACE_HOURS}`,
    ),
    24,
    'How long a sandbox must have been stale, hours; fractions are allowed.',
  ),
});

const REMOVABLE = ['stale', 'deletion_failed'] as const;
export const bulkDeleteQuery = z.strictObject({
  status: z
    .enum(REMOVABLE, { error: `is needed, and must be one of ${REMOVABLE.join(', ')}` })
    .describe('Records in this status are removed, the sandboxes themselves are not.'),
});
