import {
  type AvailableSandbox,
  type CoolingSandbox,
  type FailedSandbox,
  next,
  type PendingSandbox,
  type Sandbox,
} from './sandbox.ts';

/*
 * What was cleaned is free when it has cooled down: a provider's quotas and caches may outlive a cleanup.
 *
 *     cleaned ──── cooldown ────▶ coolUntilMs ──▶ who waits in line, or free
 *
 * The record says when: another setting holds for what is cleaned from then on.
 */

/** Free, or not before it has cooled down. */
export function freeAfter(
  seen: Sandbox,
  coolUntilMs: number | undefined,
  nowMs: number,
  released?: AvailableSandbox['released'],
): AvailableSandbox | CoolingSandbox {
  const rest = released && { released };
  return coolUntilMs !== undefined && coolUntilMs > nowMs
    ? next<CoolingSandbox>(seen, nowMs, { status: 'cooling', coolUntilMs, ...rest })
    : next<AvailableSandbox>(seen, nowMs, { status: 'available', ...rest });
}

/** The provider cleaned it. */
export const recycle = (
  seen: PendingSandbox | FailedSandbox,
  nowMs: number,
  cooldownMs = 0,
): AvailableSandbox | CoolingSandbox =>
  freeAfter(seen, nowMs + cooldownMs, nowMs, {
    holder: seen.lease.holder,
    requestedAt: seen.cleanup.requestedAt,
  });

/** It has cooled down: free. */
export const endCooldown = (seen: CoolingSandbox, nowMs: number): AvailableSandbox =>
  next<AvailableSandbox>(seen, nowMs, {
    status: 'available',
    ...(seen.released && { released: seen.released }),
  });
