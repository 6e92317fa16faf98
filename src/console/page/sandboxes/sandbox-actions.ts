import type { Api } from '../broker/api.ts';
import type { SandboxRecord } from '../broker/records.ts';
import type { Question } from '../confirmation.ts';
import { DURATIONS, moment } from '../wording.ts';
import type { Filter } from './sandbox-pages.ts';

/**
 * What an operator can do with a sandbox in its status. Each is bound to the lease that is on the page: the broker
 * refuses it when the sandbox has another one by then, whoever has it.
 */
export function actionsFor(sandbox: SandboxRecord, filter: Filter, api: Api): Question[] {
  const { sandbox_id: id, lease_id: lease, name, status } = sandbox;
  const { allocated_to_track: holder, deletion_error: cause } = sandbox;
  const order = (
    verb: 'release' | 'retry-deletion' | 'quarantine' | 'restore' | 'extend',
    body?: object,
  ): Promise<SandboxRecord> => {
    const query = lease === undefined ? '' : `?lease_id=${encodeURIComponent(lease)}`;
    return api.post(`/v1/admin/sandboxes/${encodeURIComponent(id)}/${verb}${query}`, {
      ...(body && { body }),
    });
  };
  const refusal = mismatch(sandbox, filter);
  const quarantine = quarantineOf(sandbox, refusal, (reason) => order('quarantine', { reason }));
  const restore = restoreOf(sandbox, refusal, () => order('restore'));
  switch (status) {
    case 'allocated':
      return [
        {
          title: `Release ${name}?`,
          consequences: [
            `Ends the lease of ${holder ?? 'its holder'} at once. Whoever is working in the sandbox loses it.`,
            leaseInWords(sandbox),
            'The next cleanup deletes the sandbox at the provider. That cannot be undone.',
          ],
          inDryRun:
            'The lease ends all the same; only the deletion is held back, so the sandbox does not come back to the pool.',
          confirm: 'Release',
          refusal,
          isDangerous: true,
          act: async () => {
            await order('release');
            return `${name} is released.`;
          },
        },
        extendOf(sandbox, refusal, (seconds) => order('extend', { duration_seconds: seconds })),
        sandbox.quarantined_at === undefined ? quarantine : restore,
      ];
    case 'quarantined':
      return [restore];
    case 'available':
    case 'cooling':
    case 'stale':
    case 'pending_deletion':
      return [quarantine];
    case 'deletion_failed':
      return [
        {
          title: `Try to delete ${name} again?`,
          consequences: [
            'Gives the deletion a fresh set of attempts, due at the next cleanup.',
            cause === undefined
              ? 'The last attempt failed.'
              : `The last attempt failed: ${cause.replaceAll('_', ' ')}. If the cause is still there, so will be the failure.`,
          ],
          inDryRun: 'It will be due, and not be deleted.',
          confirm: 'Retry deletion',
          refusal,
          act: async () => {
            await order('retry-deletion');
            return `The deletion of ${name} will be tried again.`;
          },
        },
        quarantine,
      ];
    case 'deleted':
      return [];
  }
}

function extendOf(
  { name, expires_at: end, allocated_to_track: holder }: SandboxRecord,
  refusal: string | undefined,
  order: (seconds: number) => Promise<SandboxRecord>,
): Question {
  return {
    title: `Extend the lease of ${name}?`,
    consequences: [
      `${holder ?? 'Its holder'} keeps it for longer${end === undefined ? '' : `; the lease ends ${moment(end)} as it is`}.`,
      'Never beyond the longest lease that the broker allows, and never to an earlier moment.',
    ],
    confirm: 'Extend',
    asksFor: 'From now',
    among: DURATIONS,
    refusal,
    act: async (seconds) => {
      const { expires_at: expiresAt = 0 } = await order(Number(seconds));
      return `The lease of ${name} ends ${moment(expiresAt)}.`;
    },
  };
}

function quarantineOf(
  { name, status, allocated_to_track: holder }: SandboxRecord,
  refusal: string | undefined,
  order: (reason: string) => Promise<unknown>,
): Question {
  const isLeased = status === 'allocated';
  return {
    title: `Put ${name} in quarantine?`,
    consequences: [
      isLeased
        ? `The lease of ${holder ?? 'its holder'} goes on. When it is over, nobody gets the sandbox and it is not deleted.`
        : 'Nobody gets it and it is not deleted, until somebody restores it.',
    ],
    confirm: 'Quarantine',
    asksFor: 'Reason',
    refusal,
    act: async (reason) => {
      await order(reason);
      return isLeased ? `${name} goes into quarantine when its lease is over.` : `${name} is in quarantine.`;
    },
  };
}

function restoreOf(
  { name, status, deletion_requested_at: returnedAt, missing_since: missingAt }: SandboxRecord,
  refusal: string | undefined,
  order: () => Promise<unknown>,
): Question {
  return {
    title: `Restore ${name}?`,
    consequences: [
      restoredInWords(status, { isUsed: returnedAt !== undefined, isMissing: missingAt !== undefined }),
    ],
    confirm: 'Restore',
    refusal,
    act: async () => {
      await order();
      return `${name} is restored.`;
    },
  };
}

function restoredInWords(
  status: SandboxRecord['status'],
  { isUsed, isMissing }: { isUsed: boolean; isMissing: boolean },
): string {
  if (status === 'allocated') return 'The next cleanup after its lease deletes it, as ever.';
  if (isUsed) return 'It was used: the next cleanup deletes it at the provider. That cannot be undone.';
  return isMissing
    ? 'The provider does not list it: it is stale until it is listed again.'
    : 'It was not used: it is free at once, or goes to who waits for it.';
}

/** Which lease it is, so that somebody else's is seen to be that. */
function leaseInWords({ track_name: lab, allocated_at: since }: SandboxRecord): string {
  const begun = since === undefined ? 'at an unknown time' : moment(since);
  return `The lease was given ${begun}${lab === undefined ? '' : ` for the lab ${lab}`}.`;
}

/** Whoever looks for one holder's sandbox does not mean another's: what the filter asks for, and what is there instead. */
function mismatch(sandbox: SandboxRecord, filter: Filter): string | undefined {
  const sought = [
    ['holder', filter.holder, sandbox.allocated_to_track],
    ['lab', filter.lab, sandbox.track_name],
  ] as const;
  for (const [what, beginning, found = 'none'] of sought) {
    if (found.startsWith(beginning)) continue;
    return `The table is filtered by the ${what} ${beginning}, and this sandbox’s is ${found}. Close it and look again, or clear the filter.`;
  }
  const { find } = filter;
  const { sandbox_id: id, allocated_to_track: holder, name } = sandbox;
  if (find === '' || id === find || holder === find || name.startsWith(find)) return undefined;
  return `What was looked for is ${find}, and this is ${name}, held by ${holder ?? 'nobody'}. Close it and look again, or clear the filter.`;
}
