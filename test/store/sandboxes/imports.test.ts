import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { eventOf } from '../../../src/domain/event.ts';
import { readHistory } from '../../../src/store/sandboxes/events.ts';
import type { KeyRecord } from '../../../src/store/sandboxes/idempotency.ts';
import { createImports, type Import } from '../../../src/store/sandboxes/imports.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, uniqueTable } from '../../support/broker/core.ts';
import { LEASE, MADE_AT_MS, RECORDS } from '../../support/broker/records.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  cancelled,
  duplicate,
  type Fault,
  failWith,
  injectFaults,
  loseAnswer,
} from '../../support/store/injected-faults.ts';

const BUCKETS = 4;
const sandbox = RECORDS.allocated;
const BY = { actor: 'migration', requestId: 'run-1', correlationId: 'run-1' };
const KEY: KeyRecord = {
  pk: LEASE.idempotencyPk,
  sandboxId: sandbox.id,
  name: sandbox.name,
  externalId: sandbox.externalId,
  leaseId: LEASE.leaseId,
  allocatedAt: LEASE.allocatedAt,
  leaseExpiresAt: LEASE.expiresAt,
  expiresAt: LEASE.reclaimAt,
  requestHash: 'migrated',
  attempt: 'attempt-1',
};
const ENTRY: Import = { sandbox, event: eventOf(undefined, sandbox, 'migrated', BY), key: KEY };

describeOnEngines('a sandbox that is taken over', ({ endpoint }) => {
  async function start() {
    const { client } = createCountingClient(endpoint, uniqueTable());
    onTestFinished(() => client.close());
    await openTable(client, { buckets: BUCKETS, create: true }, AbortSignal.timeout(60_000));
    return { client, imports: createImports(client, BUCKETS, randomUUID), faults: injectFaults(client) };
  }

  test.each<[string, Fault, times: number]>([
    ['the answer is lost', loseAnswer, 1],
    ['the write arrives twice', duplicate, 1],
    [
      'another transaction is at work on it',
      failWith(() => cancelled('TransactionConflict', 'None', 'None')),
      2,
    ],
  ])('is written once and told to be, though %s', async (_name, fault, times) => {
    const { client, imports, faults } = await start();
    faults.next('TransactWriteItems', fault, { times });
    expect(await imports.write(ENTRY, MADE_AT_MS)).toEqual({ type: 'written' });
    expect(await imports.find(sandbox.id)).toEqual(sandbox);
    expect(await readHistory(client, sandbox.id, 10)).toHaveLength(1);
  });

  test('is left as it is where it is there already', async () => {
    const { imports } = await start();
    await imports.write({ ...ENTRY, sandbox: RECORDS.available, key: undefined }, MADE_AT_MS);
    expect(await imports.write(ENTRY, MADE_AT_MS)).toEqual({ type: 'exists', sandbox: RECORDS.available });
    expect(await imports.find(sandbox.id)).toEqual(RECORDS.available);
  });

  test('is written without its key where that has another lease, and the answer may be lost then, too', async () => {
    const { imports, faults } = await start();
    const other = { ...sandbox, id: 'sbx-2' };
    const second: Import = { ...ENTRY, sandbox: other, event: { ...ENTRY.event, sandboxId: other.id } };
    await imports.write(ENTRY, MADE_AT_MS);
    faults.next('TransactWriteItems', loseAnswer, {
      times: 1,
      matching: ({ json }) => !json.includes('request_hash'),
    });
    expect(await imports.write(second, MADE_AT_MS)).toEqual({ type: 'key_taken' });
    expect(await imports.find(other.id)).toEqual(other);
    const later = (LEASE.reclaimAt + 1) * 1000;
    const third: Import = { ...second, sandbox: { ...other, id: 'sbx-3' } };
    expect(await imports.write(third, later)).toEqual({ type: 'written' });
  });

  test('is given up where the conflict does not end', async () => {
    const { imports, faults } = await start();
    const conflict = failWith(() => cancelled('TransactionConflict', 'None', 'None'));
    faults.next('TransactWriteItems', conflict, { times: 100 });
    await expect(imports.write(ENTRY, MADE_AT_MS)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(faults.calls.filter(({ operation }) => operation === 'TransactWriteItems')).toHaveLength(6);
  });
});
