// The one entry of the package: what is not named here may change.

export type { Lease, Marked } from '../api/types/leases.ts';
export type { InLine, Reported } from '../api/types/line.ts';
export type { SandboxRecord, SandboxStatus } from '../api/types/sandboxes.ts';
export type { ErrorCode } from '../domain/errors.ts';
export type {
  AllocateOptions,
  AllocateSeveralOptions,
  Broker,
  BrokerOptions,
  CallOptions,
  LeaseCallOptions,
  ReportOptions,
} from './broker.ts';
export { createBroker } from './broker.ts';
export type { BrokerErrorCode } from './broker-error.ts';
export { BrokerError } from './broker-error.ts';
export type { CallLimits, Fetch, Retry } from './call.ts';
export type { HeldLease, HeldLeases, ReplaceOptions } from './held-lease.ts';
export type { KeepAlive } from './keep-alive.ts';
