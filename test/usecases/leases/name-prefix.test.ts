import { expect, it } from 'vitest';
import { allocate, coreOfTest, lease, refusal, refused, stock } from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

describeOnEngines('a name prefix', ({ endpoint }) => {
  const NAMES = ['plain', 'Läb für 東京 🧪 #1', 'Läb für 東京 🚀 #2', '100% _ {x}', 'a#b', 'ab'];
  /** More than the index holds of a name. */
  const LONG_NAME = '🧪'.repeat(256);

  it.each([
    ['plain', 'plain'],
    ['Läb für 東京 🧪', 'Läb für 東京 🧪 #1'],
    ['Läb für 東京 🚀 ', 'Läb für 東京 🚀 #2'],
    ['100% _ {', '100% _ {x}'],
    ['a#', 'a#b'],
    ['ab', 'ab'],
  ])('"%s" finds "%s" among others, with a list at hand and without', async (namePrefix, name) => {
    const core = await coreOfTest(endpoint);
    await stock(core, NAMES);
    expect((await lease(core, 'a', { namePrefix })).name).toBe(name);
    const listed = await core.replica();
    await listed.readyList.refresh();
    expect(listed.readyList.size).toBe(NAMES.length - 1);
    expect(await refused(allocate(listed, 'b', { namePrefix }))).toBe('NO_SANDBOXES_AVAILABLE');
    listed.close();
  });

  it('takes only what begins so: case, spaces and the middle of a name do not count', async () => {
    const core = await coreOfTest(endpoint);
    await stock(core, [...NAMES, LONG_NAME]);
    const longer = `${LONG_NAME.slice(0, -2)}x`;
    for (const namePrefix of [
      'Plain',
      ' plain',
      'lain',
      'plain ',
      'available',
      'Läb für  東京',
      '_',
      '%',
      longer,
    ]) {
      expect(await refused(allocate(core, 'a', { namePrefix }))).toBe('NO_SANDBOXES_AVAILABLE');
    }
    // Nothing by that name is no empty pool: the others are free as before.
    expect((await lease(core, 'long', { namePrefix: LONG_NAME })).name).toBe(LONG_NAME);
    for (const name of NAMES) await lease(core, `holder of ${name}`);
    expect(await refused(allocate(core, 'one more'))).toBe('NO_SANDBOXES_AVAILABLE');
  });

  it('says when to ask again', async () => {
    const core = await coreOfTest(endpoint);
    expect((await refusal(allocate(core, 'a', { namePrefix: 'x' }))).retryAfterSeconds).toBeGreaterThan(0);
  });
});
