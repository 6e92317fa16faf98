import { expect, it } from 'vitest';
import { recycle } from '../../src/domain/cooldown.ts';
import { eventOf } from '../../src/domain/event.ts';
import { allocate, create } from '../../src/domain/transitions.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../support/broker/records.ts';

const BY = { actor: 'track', requestId: 'request-1', correlationId: 'correlation-1' };
const { available, allocated, pending_deletion: pending } = RECORDS;

it('tells who did what, when, from where to where, on whose behalf and under which lease', () => {
  expect(eventOf(available, allocated, 'allocate', BY, 'more')).toEqual({
    sandboxId: 'sbx-1',
    generation: allocated.generation,
    actor: 'track',
    action: 'allocate',
    from: 'available',
    to: 'allocated',
    atMs: MADE_AT_MS,
    requestId: 'request-1',
    correlationId: 'correlation-1',
    holder: 'holder-1',
    leaseId: 'lease-1',
    detail: 'more',
  });
});

it('the first event of a record comes from nowhere', () => {
  const next = create('sbx-2', available, MADE_AT_MS);
  expect(eventOf(undefined, next, 'sync_created', BY)).toMatchObject({ from: undefined, to: 'available' });
});

it('the end of a lease still names it, though the record has forgotten it', () => {
  const event = eventOf(pending, recycle(pending, MADE_AT_MS), 'cleanup_recycled', BY);
  expect(event).toMatchObject({ to: 'available', holder: 'holder-1', leaseId: 'lease-1' });
});

it('a new lease is named, not the one before', () => {
  const next = allocate(available, { ...LEASE, leaseId: 'lease-2', holder: 'holder-2' }, MADE_AT_MS);
  expect(eventOf(pending, next, 'allocate', BY)).toMatchObject({ holder: 'holder-2', leaseId: 'lease-2' });
});
