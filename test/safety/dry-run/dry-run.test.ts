import { describe, expect, test } from 'vitest';
import {
  type Action,
  ACTIONS as BROKERS,
  IRREVERSIBLE_ACTIONS,
} from '../../../src/domain/resilience/action.ts';
import {
  createDryRunLock,
  type DryRunOptions,
  dryRunResult,
  isDryRun,
  refuseIfLocked,
} from '../../../src/safety/dry-run/dry-run.ts';
import { redaction } from '../../../src/safety/redacted.ts';
import { createFakeClock } from '../../support/broker/core.ts';

const ACTIONS = { ...BROKERS, look: 'reversible' } as const;
type Deed = keyof typeof ACTIONS;

const lockOf = (options: Partial<DryRunOptions<Deed>> = {}) =>
  createDryRunLock<Deed>({ actions: ACTIONS, clock: createFakeClock(), redact: redaction(), ...options });

describe('an action', () => {
  test.each(['csp_delete', 'row_purge', 'bulk_delete', 'stale_purge', 'external_call'] satisfies Action[])(
    '%s is known as one that cannot be undone',
    (action) => {
      expect(lockOf().isIrreversible(action)).toBe(true);
      expect(IRREVERSIBLE_ACTIONS).toContain(action);
    },
  );

  test('nobody has classified does not compile, and is refused where it comes in all the same', () => {
    const lock = createDryRunLock({ actions: { pay: 'irreversible', look: 'reversible' } });
    expect(lock.blocks('pay')).toBe(true);
    expect(lock.blocks('look')).toBe(false);
    // @ts-expect-error The name is not in the list.
    expect(() => lock.blocks('format_disk')).toThrow(new RangeError('there is no action format_disk'));
    // @ts-expect-error A property that every object has is no classification.
    expect(() => lock.blocks('toString')).toThrow(RangeError);
    const open = createDryRunLock({ actions: { pay: 'irreversible' }, enabled: false });
    // @ts-expect-error Nor is it let through where the lock is open.
    expect(() => open.blocks('format_disk')).toThrow(RangeError);
  });
});

describe('the lock', () => {
  test('is on unless told otherwise, and not strict', () => {
    expect(lockOf()).toMatchObject({ enabled: true, strict: false });
  });

  test('blocks everything that cannot be undone, and nothing else', () => {
    const lock = lockOf();
    const blocked = (Object.keys(ACTIONS) as Deed[]).filter((action) => lock.blocks(action));
    expect(blocked).toEqual(IRREVERSIBLE_ACTIONS);
  });

  test('that is off blocks nothing, a strict one neither', () => {
    const lock = lockOf({ enabled: false, strict: true });
    expect(lock.strict).toBe(false);
    expect(IRREVERSIBLE_ACTIONS.some((action) => lock.blocks(action))).toBe(false);
    expect(() => refuseIfLocked(lock, 'bulk_delete')).not.toThrow();
  });

  test('gives a result that says what it is', () => {
    expect(dryRunResult('csp_delete')).toEqual({ dry_run: true, action: 'csp_delete', result: null });
  });

  test('refuses an operator when it is strict, and remembers that', () => {
    const blocked: Deed[] = [];
    const lock = lockOf({ strict: true, onBlocked: (action) => blocked.push(action) });
    expect(() => refuseIfLocked(lock, 'bulk_delete', { status: 'stale' })).toThrow(
      expect.objectContaining({ code: 'DRY_RUN_LOCKED', details: { action: 'bulk_delete' } }),
    );
    expect(() => refuseIfLocked(lock, 'look')).not.toThrow();
    expect(lock.log()).toMatchObject([
      { action: 'bulk_delete', status: 'dry_run_blocked', args: { status: 'stale' } },
    ]);
    expect([blocked, lock.blockedCount]).toEqual([['bulk_delete'], 1]);
  });

  test('leaves it to the work itself when it is not strict', () => {
    const lock = lockOf();
    expect(() => refuseIfLocked(lock, 'bulk_delete')).not.toThrow();
    expect(lock.log()).toEqual([]);
  });
});

describe('what is run through the lock', () => {
  const deed = (calls: string[]) => async () => {
    calls.push('called');
    return { paid: 5 };
  };

  test('is not done while it is closed, says so, and is logged', async () => {
    const calls: string[] = [];
    const lock = lockOf();
    const done = await lock.run('external_call', deed(calls), { amount: 5 });
    expect([isDryRun(done), done, calls]).toEqual([true, dryRunResult('external_call'), []]);
    expect(lock.log()).toMatchObject([
      { action: 'external_call', status: 'dry_run_blocked', args: { amount: 5 } },
    ]);
    expect(await lock.run('look', deed(calls))).toEqual({ paid: 5 });
    expect([lock.log().length, lock.blockedCount]).toEqual([1, 1]);
  });

  test('throws where the lock is strict, without a call', async () => {
    const calls: string[] = [];
    const lock = lockOf({ strict: true });
    await expect(lock.run('external_call', deed(calls))).rejects.toMatchObject({ code: 'DRY_RUN_LOCKED' });
    expect(calls).toEqual([]);
  });

  test('is done where the lock is open, and logged with how it ended', async () => {
    const lock = lockOf({ enabled: false });
    const error = new Error('declined');
    expect(isDryRun(await lock.run('external_call', deed([])))).toBe(false);
    await expect(lock.run('external_call', () => Promise.reject(error))).rejects.toBe(error);
    expect(lock.log().map(({ status }) => status)).toEqual(['executed', 'error']);
  });
});

describe('its log', () => {
  test('keeps the last thousand, the oldest first', () => {
    const clock = createFakeClock();
    const lock = lockOf({ clock });
    for (let n = 0; n < 2_345; n++) {
      clock.advanceSeconds(1);
      lock.record({ action: 'row_purge', status: 'executed', args: { n } });
    }
    const entries = lock.log();
    expect(entries.map(({ args }) => args['n'])).toEqual(Array.from({ length: 1_000 }, (_, n) => n + 1_345));
    expect(entries.at(-1)?.atMs).toBe(clock.nowMs());
  });

  test('can be asked for one action, whatever became of it', () => {
    const lock = lockOf();
    lock.record({ action: 'csp_delete', status: 'dry_run_blocked' });
    lock.record({ action: 'row_purge', status: 'executed' });
    lock.record({ action: 'csp_delete', status: 'error' });
    expect(lock.log({ action: 'csp_delete' }).map(({ status }) => status)).toEqual([
      'dry_run_blocked',
      'error',
    ]);
    expect(lock.log({ action: 'bulk_delete' })).toEqual([]);
    expect(lock.blockedCount).toBe(1);
  });

  test('has no secret in its arguments, by name, by value, or inside of a text', () => {
    const lock = lockOf({ redact: redaction(['s3cret-token']) });
    lock.record({
      action: 'external_call',
      status: 'executed',
      args: {
        url: 'https://user:pass@hooks.example/x?key=s3cret-token',
        api_key: 'abc',
        nested: { authorization: 'Bearer abcdefghij', list: ['sent Authorization: Bearer abcdefghij'] },
        sandbox_id: 'sbx-1',
        count: 3,
      },
    });
    const [entry] = lock.log();
    expect(JSON.stringify(entry)).not.toMatch(/s3cret|pass@|abcdefghij|"abc"/);
    expect(entry?.args).toMatchObject({ sandbox_id: 'sbx-1', count: 3 });
  });

  test('does not grow with what callers pass', () => {
    const lock = lockOf();
    const deep = { level: 1, next: {} };
    deep.next = deep;
    const args = {
      long: 'x'.repeat(100_000),
      list: Array.from({ length: 10_000 }, (_, n) => n),
      many: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`field-${n}`, 'y'.repeat(1_000)])),
      deep,
      call: () => undefined,
      big: 10n,
    };
    lock.record({ action: 'external_call', status: 'executed', args });
    expect(JSON.stringify(lock.log()).length).toBeLessThan(10_000);
  });
});
