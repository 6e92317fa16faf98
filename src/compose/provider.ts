import type { Config } from '../config/index.ts';
import { createCspProvider } from '../provider/csp.ts';
import type { Provider, ProviderObserver } from '../provider/provider.ts';
import { createSimulatedProvider } from '../provider/simulated.ts';
import { currentCorrelation } from '../telemetry/correlation.ts';

/** The provider that the configuration names. */
export function composeProvider({ provider }: Pick<Config, 'provider'>, observe: ProviderObserver): Provider {
  return provider.kind === 'csp'
    ? createCspProvider({ ...provider, observe, correlationId: () => currentCorrelation()?.correlationId })
    : createSimulatedProvider({ poolSize: provider.poolSize, observe });
}
