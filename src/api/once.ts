import { z } from 'zod';
import { EFFECT_STATES } from '../domain/resilience/effect.ts';
import { KEYED_OUTCOMES } from '../domain/resilience/kept-answer.ts';
import { pageCursor, pageLimit } from './requests.ts';
import { epochSeconds } from './times.ts';

const oneOf = <const Values extends readonly string[]>(values: Values) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });
const TEXT = /^[\x20-\x7e]{1,256}$/;
const text = z.string().regex(TEXT, 'must be 1 to 256 visible ASCII characters');

export const listEffectsQuery = z.strictObject({
  state: oneOf(EFFECT_STATES).optional().describe('Only effects in this state.'),
  type: text.optional().describe('Only effects of this type, such as csp_delete.'),
  limit: pageLimit('Effects on a page.'),
  cursor: pageCursor,
});

export const effectParams = z.object({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,2048}$/, 'must be 1 to 2048 of A-Z a-z 0-9 _ -')
    .describe('As the list gives it.'),
});

export const effectSchema = z
  .object({
    id: z.string(),
    type: z.string(),
    entity: z.unknown().describe('What it is done to: of a deletion the sandbox and its lease.'),
    generation: z.int().describe('Which time it is done to it: of a sandbox, the generation of its record.'),
    state: z
      .enum(EFFECT_STATES)
      .describe(
        'in_progress: somebody is at it, or was and did not come back; then the far side is asked first. completed: it ' +
          'will not be done again. failed: it did not happen, and may be tried again.',
      ),
    holders: z.int().describe('How often somebody set out to do it.'),
    lease_until: epochSeconds('Until when nobody else may'),
    changed_at: epochSeconds('When it was begun, or ended, last').optional(),
    remembered_until: epochSeconds('Until when it is remembered'),
    error: z.string().optional().describe('The name of the error that it failed with.'),
    result: z.unknown().optional().describe('What it was completed with; secrets are masked.'),
  })
  .meta({
    id: 'Effect',
    description: 'Something that must happen once, and what is known of it.',
    examples: [
      {
        id: 'ZWZmZWN0OiUyMmNzcF9kZWxldGUlMjI6JTIybGFiLTQyJTIyOjc',
        type: 'csp_delete',
        entity: ['lab-42', '0e7f4a52-6f0c-4b59-9d8e-3f4f5c1f9d11'],
        generation: 7,
        state: 'completed',
        holders: 1,
        lease_until: 1_767_240_060,
        changed_at: 1_767_240_001,
        remembered_until: 1_767_499_201,
        result: 'destroyed',
      },
    ],
  });

export const effectListSchema = z
  .object({
    effects: z.array(effectSchema),
    count: z.int().describe('Effects on this page.'),
    cursor: z.string().optional().describe('For the next page; absent on the last one.'),
  })
  .meta({
    id: 'EffectList',
    description: 'One page, in no order. It may be short, or empty, and still have a cursor.',
  });

export const idempotencyQuery = z.strictObject({
  kind: oneOf(['request', 'lease'])
    .optional()
    .describe("Only keys of operators' requests, or only those of leases."),
  limit: pageLimit('Keys on a page.'),
  cursor: pageCursor,
});

const common = {
  id: z.string().describe('A hash of who used the key, and of the key.'),
  began_at: epochSeconds('When the request, or the lease, began'),
  remembered_until: epochSeconds('Until when the key is remembered'),
};

const keySchema = z
  .discriminatedUnion('kind', [
    z.object({
      ...common,
      kind: z.literal('request'),
      state: z.enum(['under_way', 'done']),
      operation: z.string().describe('Such as POST /v1/admin/sync.'),
      replica: z.string().describe('Which carries it out, or did.'),
      answer_status: z.int().optional().describe('Of the answer that is kept.'),
    }),
    z.object({
      ...common,
      kind: z.literal('lease'),
      state: z.enum(['leased', 'lease_over']),
      sandbox_id: z.string(),
      lease_id: z.string(),
      chosen: z.boolean().describe('By the caller; false: the holder is the key.'),
    }),
  ])
  .meta({ id: 'RememberedKey', description: 'A key that is remembered. The key itself is kept nowhere.' });

export const idempotencySchema = z
  .object({
    requests: z
      .record(z.enum(KEYED_OUTCOMES), z.int())
      .describe(
        "Operators' requests with a key on this replica since its start: executed and replayed (hits), other_request and " +
          'in_progress (conflicts), not_kept (failed), unstored.',
      ),
    leases: z
      .object({
        granted: z.int().describe('Leases under a key that had none.'),
        replayed: z.int().describe('Hits: the lease that the key had.'),
        refused: z.int().describe("Conflicts: the key was another request's."),
      })
      .describe('Allocations on this replica since its start.'),
    keys: z.array(keySchema).describe('Of all replicas, in no order.'),
    count: z.int().describe('Keys on this page.'),
    cursor: z.string().optional().describe('For the next page; absent on the last one.'),
  })
  .meta({
    id: 'Idempotency',
    description:
      'What is carried out once, and the keys by which it is known. A page may be short and still have a cursor.',
    examples: [
      {
        requests: { executed: 4, replayed: 1, other_request: 0, in_progress: 0, not_kept: 1, unstored: 0 },
        leases: { granted: 120, replayed: 7, refused: 0 },
        keys: [
          {
            kind: 'request',
            id: 'f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2',
            state: 'done',
            operation: 'POST /v1/admin/cleanup',
            replica: 'broker-1-7-0a1b2c3d',
            began_at: 1_767_225_600,
            remembered_until: 1_767_229_201,
            answer_status: 200,
          },
        ],
        count: 1,
      },
    ],
  });

export type Effect = z.output<typeof effectSchema>;
export type EffectList = z.output<typeof effectListSchema>;
export type Idempotency = z.output<typeof idempotencySchema>;
