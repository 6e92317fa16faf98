import type { Api } from '../broker/api.ts';
import type { SandboxRecord } from '../broker/records.ts';
import type { Question } from '../confirmation.ts';
import { moment } from '../wording.ts';
import type { Filter } from './sandbox-pages.ts';

/**
 * What an operator can do with a sandbox in its status. Each is bound to the lease that is on the page: the broker
 * refuses it when the sandbox has another one by then, whoever has it.
 */
export function actionsFor(sandbox: SandboxRecord, filter: Filter, api: Api): Question[] {
  const { sandbox_id: id, lease_id: lease, name, status } = sandbox;
  const { allocated_to_track: holder, deletion_error: cause } = sandbox;
  const order = async (verb: 'release' | 'retry-deletion') => {
    const query = lease === undefined ? '' : `?lease_id=${encodeURIComponent(lease)}`;
    await api.post(`/v1/admin/sandboxes/${encodeURIComponent(id)}/${verb}${query}`);
  };
  const refusal = mismatch(sandbox, filter);
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
      ];
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
      ];
    default:
      return [];
  }
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
