import type { AllocatedSandbox } from '../../domain/sandbox.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';

/**
 * What the key of a lease remembers, for whoever asks again. `requestHash`: of the request that was granted; `attempt`: the
 * call that made it.
 */
export const keyRecordOf = (
  { id, name, externalId, metadata, lease }: AllocatedSandbox,
  { requestHash, attempt }: Pick<KeyRecord, 'requestHash' | 'attempt'>,
): KeyRecord => ({
  pk: lease.idempotencyPk,
  sandboxId: id,
  name,
  externalId,
  sfdcAccountId: metadata['sfdc_account_id'],
  leaseId: lease.leaseId,
  fencingToken: lease.fencingToken,
  heartbeatSeconds: lease.heartbeat?.seconds,
  allocatedAt: lease.allocatedAt,
  leaseExpiresAt: lease.expiresAt,
  expiresAt: lease.reclaimAt,
  rememberedUntil: lease.keyRememberedUntil,
  requestHash,
  attempt,
});
