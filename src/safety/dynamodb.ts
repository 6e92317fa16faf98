import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { createStoreClient } from '../store/dynamo/client.ts';
import { createStoreTime, trustedClock } from '../store/dynamo/store-time.ts';
import { startEngine } from '../store/engine/engine.ts';
import { createBreakerStore } from '../store/shared/breakers.ts';
import { createEffectRecords } from '../store/shared/effects.ts';
import { ANY_JOBS } from '../store/shared/job-items.ts';
import { createJobReadsOf } from '../store/shared/job-reads.ts';
import { createJobStoreOf } from '../store/shared/jobs.ts';
import { createKeptAnswers } from '../store/shared/kept-answers.ts';
import { createQuotaStore } from '../store/shared/quotas.ts';
import { openTable } from '../store/table.ts';
import type { DatabaseChoice, DatabaseRecords } from './database/sandbox-database.ts';

const TABLE = 'SandboxSafety';
const LOCAL_REGION = 'local';
/** These records need no more: none of them is spread over buckets. */
const BUCKETS = 1;
const OPEN_WITHIN_MS = 60_000;

/** The records of the safety systems in a table of DynamoDB's, which is made where it is not there. */
export async function openTableRecords(
  choice: Exclude<DatabaseChoice, string> | { kind: 'embedded' },
  {
    clock: own,
    answersTtlMs,
    signal = AbortSignal.timeout(OPEN_WITHIN_MS),
  }: {
    clock: Clock;
    answersTtlMs: number;
    signal?: AbortSignal | undefined;
  },
) {
  const engine =
    choice.kind === 'embedded'
      ? await startEngine({ file: 'file' in choice ? choice.file : undefined }, signal)
      : undefined;
  const table = 'table' in choice && choice.table !== undefined ? choice.table : TABLE;
  const client = createStoreClient({ table, time: createStoreTime(), ...whereOf(choice, engine?.endpoint) });
  const end = async () => {
    client.close();
    await engine?.stop();
  };
  try {
    await openTable(client, { buckets: BUCKETS, create: true }, signal);
  } catch (error) {
    await end();
    throw error;
  }
  const clock = trustedClock(own, client);
  const replicaId = randomUUID();
  const records: DatabaseRecords = {
    quotas: createQuotaStore(client, clock),
    effects: createEffectRecords(client, clock, randomUUID),
    breakers: createBreakerStore(client, clock, randomUUID),
    answers: createKeptAnswers(client, { clock, newId: randomUUID, replicaId, ttlMs: answersTtlMs }),
    queue: {
      jobs: createJobStoreOf(ANY_JOBS, client, clock, randomUUID),
      reads: createJobReadsOf(ANY_JOBS, client, clock, () => undefined),
    },
  };
  const check = (within?: AbortSignal) =>
    records.quotas.read(within).then(
      () => true,
      () => false,
    );
  return { records, check, end };
}

function whereOf(choice: Exclude<DatabaseChoice, string> | { kind: 'embedded' }, endpoint?: string) {
  switch (choice.kind) {
    case 'embedded':
      return { endpoint, region: LOCAL_REGION, credentials: 'nobodys' } as const;
    case 'endpoint': {
      const { url, region = LOCAL_REGION, credentials = 'nobodys' as const } = choice;
      return { endpoint: url, region, credentials };
    }
    case 'aws':
      return { region: choice.region };
  }
}
