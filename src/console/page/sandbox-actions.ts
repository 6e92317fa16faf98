import type { Api } from './api.ts';
import type { Question } from './confirmation.ts';
import type { SandboxRecord } from './records.ts';

/** What an operator can do with a sandbox in its status. */
export function actionsFor(
  { sandbox_id: id, name, status, allocated_to_track: holder, deletion_error: cause }: SandboxRecord,
  api: Api,
): Question[] {
  const path = `/v1/admin/sandboxes/${encodeURIComponent(id)}`;
  switch (status) {
    case 'allocated':
      return [
        {
          title: `Release ${name}?`,
          consequences: [
            `Ends the lease of ${holder ?? 'its holder'} at once. Whoever is working in the sandbox loses it.`,
            'The next cleanup deletes the sandbox at the provider. That cannot be undone.',
          ],
          inDryRun:
            'The lease ends all the same; only the deletion is held back, so the sandbox does not come back to the pool.',
          confirm: 'Release',
          isDangerous: true,
          act: async () => {
            await api.post(`${path}/release`);
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
          act: async () => {
            await api.post(`${path}/retry-deletion`);
            return `The deletion of ${name} will be tried again.`;
          },
        },
      ];
    default:
      return [];
  }
}
