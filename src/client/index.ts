// The one entry of the package: what is not named here may change.
export type { ErrorCode } from '../domain/errors.ts';
export type { SandboxStatus } from '../domain/sandbox.ts';
export type { InLine, Lease, Marked, Reported, SandboxRecord } from './api.ts';
export type {
  AllocateOptions,
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
export type { HeldLease, ReplaceOptions } from './held-lease.ts';
export type { KeepAlive } from './keep-alive.ts';
