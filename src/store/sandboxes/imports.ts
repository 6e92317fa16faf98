import type { NewId } from '../../clock.ts';
import { StoreUnavailableError } from '../../domain/errors.ts';
import type { SandboxEvent } from '../../domain/event.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { retryConflicts } from '../dynamo/conflict-retry.ts';
import type { TransactItems } from '../dynamo/documents.ts';
import { CONDITION_FAILED, isConflict, TransactionCancelledError } from '../dynamo/errors.ts';
import { IS_NEW, KEY_IS_FREE } from './conditions.ts';
import { putEvent } from './events.ts';
import { putPointer } from './holders.ts';
import { type KeyRecord, toKeyItem } from './idempotency.ts';
import { toSandbox, toSandboxItem } from './items.ts';
import { sandboxKey } from './keys.ts';

export interface Import {
  sandbox: Sandbox;
  event: SandboxEvent;
  /** Of a lease in force, so that its holder finds it again. */
  key?: KeyRecord | undefined;
}

/** `key_taken`: written, but the holder's key belongs to another lease already. */
export type ImportOutcome = { type: 'written' | 'key_taken' } | { type: 'exists'; sandbox: Sandbox };

export interface SandboxImports {
  find(sandboxId: string, signal?: AbortSignal): Promise<Sandbox | undefined>;
  /** Writes a record that is not there yet, whatever its status; what is there stays as it is. */
  write(entry: Import, nowMs: number, signal?: AbortSignal): Promise<ImportOutcome>;
}

/** Takes sandboxes over from elsewhere, into a table that was laid out with `buckets`. */
export function createImports(client: StoreClient, buckets: number, newId: NewId): SandboxImports {
  const keyItems = (key: KeyRecord, nowMs: number): TransactItems => [
    {
      Put: {
        TableName: client.table,
        Item: toKeyItem(key),
        ConditionExpression: KEY_IS_FREE,
        ExpressionAttributeValues: { ':now': Math.floor(nowMs / 1000) },
      },
    },
  ];

  return {
    async find(sandboxId, signal) {
      const item = await client.get(sandboxKey(sandboxId, buckets), signal);
      return item && toSandbox(item);
    },

    async write({ sandbox, event, key }, nowMs, signal) {
      const writeId = newId();
      let withKey = key !== undefined;
      const attempt = async (): Promise<ImportOutcome | 'conflict'> => {
        const items: TransactItems = [
          {
            Put: {
              TableName: client.table,
              Item: toSandboxItem(sandbox, buckets, writeId),
              ConditionExpression: IS_NEW,
              ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            },
          },
          putEvent(client.table, event),
          ...(key && withKey ? keyItems(key, nowMs) : []),
          ...(key && !withKey && sandbox.status === 'allocated'
            ? putPointer(client.table, sandbox, { isKeyless: true })
            : []),
        ];
        const written = { type: key && !withKey ? 'key_taken' : 'written' } as const;
        try {
          await client.transact(items, signal);
          return written;
        } catch (error) {
          if (!(error instanceof TransactionCancelledError)) throw error;
          const [sandboxReason, , keyReason] = error.reasons;
          if (sandboxReason?.code === CONDITION_FAILED && sandboxReason.item) {
            // The answer to our own write may have been lost.
            if (sandboxReason.item['write_id'] === writeId) return written;
            return { type: 'exists', sandbox: toSandbox(sandboxReason.item) };
          }
          if (keyReason?.code === CONDITION_FAILED) {
            withKey = false;
            return await attempt();
          }
          if (isConflict(error.reasons)) return 'conflict';
          throw error;
        }
      };
      const outcome = await retryConflicts(attempt, { signal });
      if (outcome !== 'conflict') return outcome;
      throw new StoreUnavailableError(new Error(`the record of ${sandbox.id} is contended`));
    },
  };
}
