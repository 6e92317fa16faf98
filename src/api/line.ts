import { z } from 'zod';
import type { ReportResult } from '../usecases/leases/report-sandbox.ts';
import type { ListedPlace } from '../usecases/line/places.ts';
import type { InLine } from '../usecases/line/wait-in-line.ts';
import { leaseRecord, leaseSchema } from './leases.ts';
import { decimal, withDefault } from './requests.ts';
import { seconds } from './times.ts';

/** The longest that one call may wait, seconds: load balancers cut off what is silent for much longer. */
export const MAX_WAIT_SECONDS = 60;

const TICKET = /^[.\d]-\d{13}-[0-9a-f]{64}$/;
const ticket = z.string().regex(TICKET, 'must be a ticket_id as the broker gave it');

export const ticketParams = z.object({
  ticket: ticket.describe('The `ticket_id` of a place in the line.'),
});

const position = z.int().describe('1 is the head: served next.');
const waiting = z.int().describe('How many wait, this one included.');
const eta = z
  .int()
  .nullable()
  .describe('When its turn is expected, seconds from now: an estimate; null: nobody knows.');

export const inLineSchema = z
  .object({
    status: z.literal('waiting'),
    ticket_id: z.string().describe('Of the place: the same for as long as the caller goes on asking.'),
    position,
    waiting,
    eta_seconds: eta,
  })
  .meta({
    id: 'InLine',
    description: 'A place in the line. Ask again, just as before, to keep it and to be served.',
    examples: [
      {
        status: 'waiting',
        ticket_id: `9-0000000000042-${'0123456789abcdef'.repeat(4)}`,
        position: 3,
        waiting: 17,
        eta_seconds: 240,
      },
    ],
  });

export const servedSchema = leaseSchema
  .omit({ lease_over: true })
  .extend({ status: z.literal('served') })
  .meta({ id: 'Served', description: 'The place was served: this is the lease.' });

export const leftSchema = z
  .object({ status: z.literal('left'), ticket_id: z.string() })
  .meta({ id: 'LeftLine', description: 'The place is given up.' });

export const lineQuery = z.strictObject({
  limit: withDefault(
    decimal(
      (error) => z.number({ error }).int(error).min(1, error).max(100, error),
      'a whole number from 1 to 100',
    ),
    50,
    'Places on a page.',
  ),
  cursor: ticket.optional().describe('From the page before.'),
});

const placeSchema = z
  .object({
    ticket_id: z.string(),
    position,
    priority: z.int().describe('0 to 9; 10 is at the head, for a sandbox that was reported as broken.'),
    holder: z.string(),
    track_name: z.string().optional().describe('The lab the holder runs.'),
    name_prefix: z.string().optional(),
    joined_at: z.int().describe('Epoch seconds.'),
    alive_until: z.int().describe('Epoch seconds: without another call until then the place is given up.'),
    eta_seconds: eta,
  })
  .meta({ id: 'Place', description: 'A place in the line.' });

export const lineSchema = z
  .object({
    places: z.array(placeSchema),
    count: z.int().describe('Places on this page.'),
    waiting: z.int().describe('How many wait in all.'),
    cursor: z.string().optional().describe('For the next page; absent on the last one.'),
  })
  .meta({ id: 'Line', description: 'A part of the line, from its head on.' });

/** What `Prefer: wait=<seconds>` asks for (RFC 7240); undefined where it says nothing of that. */
export function preferredWait(prefer: string | string[] | undefined): number | undefined {
  for (const part of [prefer ?? []].flat().join().split(',')) {
    const seconds = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(;|$)/i.exec(part)?.[1];
    if (seconds !== undefined) return Math.min(Number(seconds), MAX_WAIT_SECONDS);
  }
  return undefined;
}

export const inLineRecord = (place: InLine): z.output<typeof inLineSchema> => ({
  status: 'waiting',
  ticket_id: place.ticket,
  position: place.position,
  waiting: place.waiting,
  eta_seconds: place.etaSeconds,
});

/** The first of the line for who looks at it, and what of that is news: not that less time is left with every second. */
export function lineNews({ places, waiting }: { places: readonly ListedPlace[]; waiting: number }) {
  const records = places.map(placeRecord);
  const told = records.map(({ ticket_id, position }) => [ticket_id, position]);
  return { data: { waiting, places: records }, news: [waiting, told] };
}

export const placeRecord = (place: ListedPlace): z.output<typeof lineSchema>['places'][number] => ({
  ticket_id: place.ticket,
  position: place.position,
  priority: place.priority,
  holder: place.request.holder,
  track_name: place.request.lab,
  name_prefix: place.request.namePrefix,
  joined_at: seconds(place.joinedAtMs),
  alive_until: seconds(place.aliveUntilMs),
  eta_seconds: place.etaSeconds,
});

export const reportedSchema = z
  .object({
    sandbox_id: z.string(),
    status: z.literal('quarantined'),
    replacement: leaseSchema.optional().describe('The sandbox that its key has instead.'),
    place: inLineSchema.optional().describe('The place that its key has instead: nothing was free.'),
  })
  .meta({
    id: 'Reported',
    description: 'A sandbox that was reported as broken, and what its holder got instead.',
    examples: [
      {
        sandbox_id: '00u1x2y3-lab-0042',
        status: 'quarantined',
        replacement: {
          sandbox_id: '00u1x2y3-lab-0043',
          name: 'lab-0043',
          external_id: 'sandbox/accounts/9d2a1c7e-1b7e-4f0b-8a4e-2f6c1f1f9d12',
          lease_id: '2b7d9c1e-4a1a-4c5d-9e57-5a1f1d0b7c3f',
          fencing_token: 1_767_139_301,
          allocated_at: 1_767_225_700,
          expires_at: 1_767_240_100,
        },
      },
    ],
  });

export function reportedRecord({ sandboxId, replacement }: ReportResult): z.output<typeof reportedSchema> {
  return {
    sandbox_id: sandboxId,
    status: 'quarantined',
    ...(replacement?.type === 'served' && { replacement: leaseRecord(replacement.lease) }),
    ...(replacement?.type === 'waiting' && { place: inLineRecord(replacement.inLine) }),
  };
}
