import assert from 'node:assert/strict';
import { createDryRunLock, isDryRun } from 'sandbox-broker/safety';

// Every action and whether it can be undone: another name does not compile, and is refused at run time.
const actions = { delete_user: 'irreversible', read_user: 'reversible' } as const;
const lock = createDryRunLock({ actions });
const deleteUser = async (id: string) => ({ deleted: id });

// It is on by default: nothing is done that cannot be undone, and the log says what would have been.
const held = await lock.run('delete_user', () => deleteUser('u-1'), { id: 'u-1' });
assert.deepEqual(held, { dry_run: true, action: 'delete_user', result: null });
assert.ok(isDryRun(held));
assert.equal(lock.log()[0]?.status, 'dry_run_blocked');

// A strict lock throws instead; an open one lets it happen.
const strict = createDryRunLock({ actions, strict: true });
await assert.rejects(
  strict.run('delete_user', () => deleteUser('u-1')),
  { code: 'DRY_RUN_LOCKED' },
);
const open = createDryRunLock({ actions, enabled: false });
assert.deepEqual(await open.run('delete_user', () => deleteUser('u-1')), { deleted: 'u-1' });
