import type { Clock, NewId } from '../clock.ts';
import type { SafetyConfig } from '../config/safety.ts';
import {
  ACTIONS,
  type Action,
  IRREVERSIBLE_ACTIONS,
  RESOURCE_OF,
  type Resource,
  scopedQuotas,
} from '../domain/resilience/action.ts';
import type { EffectOutcome, EffectRecords } from '../domain/resilience/effect.ts';
import {
  createDryRunLock,
  createGovernor,
  createGuard,
  createSideEffects,
  irreversibleAdapter,
  redaction,
} from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { createEffectReads } from '../store/shared/effect-reads.ts';
import { createEffectRecords } from '../store/shared/effects.ts';
import { createQuotaStore, readLimitsChange } from '../store/shared/quotas.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import { CLAIM_IS_RECORD } from '../usecases/deletion/delete-once.ts';
import { getEffect, listEffects } from '../usecases/list-effects.ts';

export interface SafetyOptions extends SafetyConfig {
  client: StoreClient;
  clock: Clock;
  newId: NewId;
  alert: RaiseAlert;
  /** Values that are masked wherever they turn up. */
  secrets?: readonly string[];
  metrics?: {
    dryRunBlocked(action: Action): void;
    governorDenied(resource: Resource): void;
    effect(type: string, outcome: EffectOutcome): void;
  };
}

/** Where nobody has said that a limit has changed. */
const REFRESH_EVERY_MS = 600_000;

export type Safety = ReturnType<typeof composeSafety>;

/** What stands before everything that cannot be undone. */
export function composeSafety({ client, clock, newId, alert, metrics, ...options }: SafetyOptions) {
  const trusted = trustedClock(clock, client);
  const redact = redaction(options.secrets);
  const dryRun = createDryRunLock<Action>({
    actions: ACTIONS,
    clock,
    redact,
    ...options.dryRun,
    onBlocked: (action) => metrics?.dryRunBlocked(action),
  });
  const governor = createGovernor({
    quotas: scopedQuotas(options.quotas),
    store: createQuotaStore(client, trusted),
    clock,
    alert,
    onDenied: (resource) => metrics?.governorDenied(resource),
  });
  const effectsIn = (records: EffectRecords) =>
    createSideEffects<Action>({
      types: IRREVERSIBLE_ACTIONS,
      records,
      onOutcome: (type, outcome) => metrics?.effect(type, outcome),
    });
  /** For work that has its effect records, breakers and retries further inside, or takes longer than an effect may. */
  const guard = createGuard<Action, Resource>({ governor, dryRun, resourceOf: RESOURCE_OF });
  const effectReads = createEffectReads(client, trusted);
  let heard: { change: number | undefined; atMs: number } | undefined;
  return {
    /** Learns of limits that others have set, and now and then of what they have used. */
    async hearOfLimits(signal: AbortSignal): Promise<void> {
      const change = await readLimitsChange(client, signal);
      const atMs = performance.now();
      if (heard && heard.change === change && atMs - heard.atMs < REFRESH_EVERY_MS) return;
      await governor.refresh(signal);
      heard = { change, atMs };
    },
    redact,
    useCases: {
      listEffects: listEffects({ effects: effectReads }),
      getEffect: getEffect({ effects: effectReads }),
    },
    dryRun,
    governor,
    effects: effectsIn(createEffectRecords(client, trusted, newId)),
    /** Of what a claim has been granted for, to the first who sets out. */
    firstEffects: effectsIn(CLAIM_IS_RECORD),
    guard,
    /** Puts a delete at the provider behind the guard. */
    providerDelete: irreversibleAdapter(guard, 'csp_delete'),
  };
}
