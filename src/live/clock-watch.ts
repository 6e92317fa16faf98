import type { Clock } from '../clock.ts';
import type { ReadinessFinding } from '../domain/readiness.ts';
import { isOff, type StoreTime } from '../store/dynamo/store-time.ts';
import type { RaiseAlert } from '../usecases/alert.ts';

/**
 * Looks how far `clock` is off the store's, and tells each look's finding to `onOffset`, in seconds. Alerts once when it
 * is too far off to decide anything by it, until it has been right in between.
 */
export function watchClock(deps: {
  clock: Clock;
  time: StoreTime | undefined;
  alert: RaiseAlert;
  onOffset: (seconds: number) => void;
}): () => ReadinessFinding {
  let wasOff = false;
  return () => {
    const offsetMs = deps.time?.offsetMs(deps.clock.nowMs());
    const seconds = Math.round((offsetMs ?? 0) / 1000);
    const isOffNow = isOff(offsetMs);
    deps.onOffset(seconds);
    if (isOffNow && !wasOff) {
      deps.alert({
        task: 'clock',
        reason: 'clock_off',
        severity: 'critical',
        context: { offset_seconds: seconds },
      });
    }
    wasOff = isOffNow;
    if (!isOffNow) return { state: 'ok' };
    return {
      state: 'failing',
      detail: `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the store`,
    };
  };
}
