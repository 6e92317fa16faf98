import type { History, Violation } from '../history.ts';
import { toldIn } from '../history.ts';
import type { Timeline } from '../timeline.ts';
import { asked } from './answer-rules.ts';

/** A fencing token is higher than that of every earlier lease of the sandbox, whatever has become of it in between. */
export function checkTokens({ leases }: Timeline, { calls }: History): Violation[] {
  const tellings = calls.flatMap((call) =>
    toldIn(call).flatMap(({ sandboxId, leaseId, fencingToken }) => {
      const lease = leases.find((each) => each.leaseId === leaseId && each.sandboxId === sandboxId);
      return lease && fencingToken !== undefined ? [{ call, lease, token: fencingToken }] : [];
    }),
  );
  const bySandbox = Map.groupBy(tellings, ({ lease: { sandboxId } }) => sandboxId);
  return [...bySandbox.values()].flatMap((ofSandbox) =>
    ofSandbox.flatMap((one, index) =>
      ofSandbox.flatMap((other, place) => {
        const isSame = one.lease === other.lease;
        // Each two of one lease once.
        if (isSame && place <= index) return [];
        const isLater =
          other.lease.granted.event.generation > one.lease.granted.event.generation ||
          other.lease.granted.earliestMs > one.call.endMs;
        const isRight = isSame ? other.token === one.token : !isLater || other.token > one.token;
        if (isRight) return [];
        const message = `${asked(one.call)} was told the token ${one.token} for ${one.lease.sandboxId}, and ${asked(other.call)} ${other.token} for ${isSame ? 'the same lease' : 'a later lease'}`;
        return { rule: 'stale_token', message } as const;
      }),
    ),
  );
}
