import type { Clock, NewId } from '../clock.ts';
import type { SafetyConfig } from '../config/safety.ts';
import type { EffectOutcome } from '../domain/effect.ts';
import { createDryRunLock } from '../safety/dry-run/dry-run.ts';
import { createEffects } from '../safety/effects/effects.ts';
import type { Action, Resource } from '../safety/guard/action.ts';
import { createAdapters } from '../safety/guard/adapters.ts';
import { createGuard } from '../safety/guard/guard.ts';
import { createGovernor } from '../safety/quota/governor.ts';
import { redaction } from '../safety/redacted.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { createEffectRecords } from '../store/shared/effects.ts';
import { createQuotaStore } from '../store/shared/quotas.ts';
import type { RaiseAlert } from '../usecases/alert.ts';

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

export type Safety = ReturnType<typeof composeSafety>;

/** What stands before everything that cannot be undone. */
export function composeSafety({ client, clock, newId, alert, metrics, ...options }: SafetyOptions) {
  const trusted = trustedClock(clock, client);
  const dryRun = createDryRunLock({
    clock,
    redact: redaction(options.secrets),
    ...options.dryRun,
    onBlocked: (action) => metrics?.dryRunBlocked(action),
  });
  const governor = createGovernor({
    quotas: options.quotas,
    store: createQuotaStore(client, trusted),
    clock,
    alert,
    onDenied: (resource) => metrics?.governorDenied(resource),
  });
  const effects = createEffects({
    records: createEffectRecords(client, trusted, newId),
    onOutcome: (type, outcome) => metrics?.effect(type, outcome),
  });
  /** For work that has its effect records, breakers and retries further inside, or takes longer than an effect may. */
  const guard = createGuard({ governor, dryRun });
  return {
    dryRun,
    governor,
    effects,
    guard,
    recordGuard: createGuard({ governor, dryRun, effects }),
    adapters: createAdapters(guard),
  };
}
