import type { TableDescription } from '@aws-sdk/client-dynamodb';
import { type Finding, ok, untold } from './finding.ts';

/** Write units that a lease takes: its own 8, and half as many again for what others give back meanwhile. */
const UNITS_PER_LEASE = 12;
/** What a training begins with, where nothing more is known: leases a second. */
const USUAL_PEAK = 100;
/** What syncs and looks at the whole pool read. */
const MIN_READ_UNITS = 1_000;
/** How DynamoDB says that on-demand has none. */
const NO_LIMIT = -1;

/** Whether a table takes so many leases a second, or as many as a training usually begins with. */
export function judgeCapacity(table: TableDescription, peakPerSecond: number): Finding {
  const read = table.ProvisionedThroughput?.ReadCapacityUnits ?? 0;
  const write = table.ProvisionedThroughput?.WriteCapacityUnits ?? 0;
  const isOnDemand = table.BillingModeSummary?.BillingMode === 'PAY_PER_REQUEST';
  const peak = Math.max(USUAL_PEAK, Math.ceil(peakPerSecond));
  const wanted = UNITS_PER_LEASE * peak;
  const details = {
    mode: isOnDemand ? 'on_demand' : 'provisioned',
    read_units: read,
    write_units: write,
    throttled_at: table.OnDemandThroughput,
    warm_write_units: table.WarmThroughput?.WriteUnitsPerSecond,
    peak_leases_per_second: peak,
    wanted_write_units: wanted,
  };
  const tooFew = (units: number, remedy: string): Finding => ({
    status: 'warning',
    message: `${units} write units a second are ${Math.floor(units / UNITS_PER_LEASE)} leases a second, and ${peak} take ${wanted}: ${remedy}.`,
    details,
  });
  if (isOnDemand) {
    const limit = table.OnDemandThroughput?.MaxWriteRequestUnits ?? NO_LIMIT;
    if (limit !== NO_LIMIT && limit < wanted) return tooFew(limit, 'raise the table’s limit');
    const warm = table.WarmThroughput?.WriteUnitsPerSecond ?? wanted;
    if (warm < wanted) return tooFew(warm, 'warm the table up before the next such start');
    return ok('The table is on demand.', details);
  }
  if (read === 0 && write === 0) return untold(new Error('no capacity told'));
  if (write < wanted) return tooFew(write, 'provision as many, or switch to on-demand');
  return read >= MIN_READ_UNITS
    ? ok(
        `The provisioned capacity has room for ${Math.floor(write / UNITS_PER_LEASE)} leases a second.`,
        details,
      )
    : {
        status: 'warning',
        message: `Fewer than ${MIN_READ_UNITS} read units throttle syncs: provision more, or switch to on-demand.`,
        details,
      };
}
