import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { describeInChromium } from './browser.ts';
import { consoleOfTest, filterBy, rowOf, rows, said } from './console-steps.ts';
import { type Stage, setStage } from './stage.ts';

vi.setConfig(PROCESS_TIMES);

/** Holds back the answers to requests whose address has `part`, until they are let go, one by one or all. */
async function holdBack(page: Page, part: string) {
  const held: Route[] = [];
  await page.route(
    (url) => `${url.pathname}${url.search}`.includes(part),
    (route) => void held.push(route),
  );
  return {
    arrived: (count: number) => expect.poll(() => held.length).toBeGreaterThanOrEqual(count),
    release: async () => {
      await page.unrouteAll();
      for (const route of held.splice(0)) await route.continue().catch(() => undefined);
    },
  };
}

/** From now on single records reach the page as they are not: as if it had not heard of a change. */
const changeRecords = (page: Page, fields: Record<string, string>) =>
  page.route(/\/v1\/admin\/sandboxes\/[^/?]+$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), ...fields } });
  });

describeInChromium('the console over slow answers', (browser: () => Browser) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage(40);
    for (const holder of ['anna', 'berta', 'clara']) await stage.allocate(holder, 'lesson');
  });
  afterAll(() => stage.stop());
  const open = () => consoleOfTest(browser(), stage.url);
  const drawer = (page: Page) => page.locator('dialog.drawer');
  const question = (page: Page) => page.locator('dialog.confirmation');

  it('opens no row of the filter before while the next one loads, by mouse or by key', async () => {
    const page = await open();
    await filterBy(page, 'Holder', 'anna');
    await rowOf(page, 'anna').waitFor();
    const slow = await holdBack(page, 'holder_prefix=berta');
    await filterBy(page, 'Holder', 'berta');
    await slow.arrived(1);
    // What was found before can be read, and is no target.
    await page.locator('.sandboxes tbody[inert]').waitFor();
    await page.getByText('Page 1, loading').waitFor();
    await rows(page).first().click({ force: true });
    expect(await drawer(page).isVisible()).toBe(false);
    await rows(page)
      .first()
      .locator('button.name')
      .evaluate((button) => button.focus());
    await page.keyboard.press('Enter');
    expect(await drawer(page).isVisible()).toBe(false);

    await slow.release();
    await rowOf(page, 'berta').click();
    await drawer(page).locator('.facts').getByText('berta').waitFor();
  });

  it('shows what was asked last, whichever answer comes last', async () => {
    const page = await open();
    const slow = await holdBack(page, 'holder_prefix=anna');
    await filterBy(page, 'Holder', 'anna');
    await slow.arrived(1);
    await filterBy(page, 'Holder', 'clara');
    await rowOf(page, 'clara').waitFor();
    await slow.release();
    await page.getByText('Page 1, one sandbox').waitFor();
    expect(await rows(page).allInnerTexts()).toEqual([expect.stringContaining('clara')]);
  });

  it('shows nothing of the question before when the next one has failed', async () => {
    const page = await open();
    await page.route(/holder_prefix=nobody/, (route) => route.fulfill({ status: 500, json: {} }));
    await filterBy(page, 'Holder', 'nobody');
    await page.getByText('The answer was 500.').waitFor();
    await page.getByText('Page 1, not loaded').waitFor();
    expect(await rows(page).count()).toBe(0);
  });

  it('extends a lease for as long as is chosen, and says when it ends', async () => {
    const page = await open();
    await filterBy(page, 'Holder', 'anna');
    await rowOf(page, 'anna').click();
    await drawer(page).getByRole('button', { name: 'Extend' }).click();
    await question(page)
      .getByText(/keeps it for longer; the lease ends/)
      .waitFor();
    await question(page).getByLabel('From now').selectOption({ label: 'a day' });
    const [request] = await Promise.all([
      page.waitForRequest(/\/extend\?lease_id=/),
      question(page).getByRole('button', { name: 'Extend' }).click(),
    ]);
    expect(request.postDataJSON()).toEqual({ duration_seconds: 86_400 });
    await expect.poll(() => said(page)).toMatch(/^The lease of .* ends /);
    await expect.poll(() => drawer(page).locator('.history li').first().textContent()).toMatch(/Extend/);
  });

  it('releases nothing that the filter does not mean', async () => {
    const page = await open();
    await filterBy(page, 'Holder', 'anna');
    await rowOf(page, 'anna').click();
    await drawer(page).getByRole('button', { name: 'Release' }).waitFor();
    // The record comes to be another's, as after a release and a new lease that nobody here has heard of.
    await changeRecords(page, { allocated_to_track: 'zoe' });
    await page.keyboard.press('Escape');
    await rowOf(page, 'anna').click();
    await drawer(page).locator('.facts').getByText('zoe').waitFor();
    await drawer(page).getByRole('button', { name: 'Release' }).click();
    await question(page).getByText('filtered by the holder anna, and this sandbox’s is zoe').waitFor();
    expect(await question(page).getByRole('button', { name: 'Release' }).isDisabled()).toBe(true);
  });

  it('ends the lease that was seen, or none', async () => {
    const page = await open();
    const id = await stage.allocate('first', 'lesson');
    // What the page has is older than it knows.
    await changeRecords(page, { lease_id: 'the-lease-before' });
    await filterBy(page, 'Holder', 'first');
    await rowOf(page, 'first').click();
    await drawer(page).getByRole('button', { name: 'Release' }).click();
    await question(page).getByText('Ends the lease of first at once.').waitFor();
    await question(page).getByRole('button', { name: 'Release' }).click();
    await question(page).getByText('The lease that is meant is over').waitFor();
    expect(await stage.statusOf(id)).toBe('allocated');
  });

  it('takes the end of one order for the end of no other', async () => {
    const page = await open();
    for (const name of ['slow-1', 'slow-2']) await stage.allocate(name, 'lesson');
    const slow = await holdBack(page, '/release');
    await filterBy(page, 'Holder', 'slow-1');
    await rowOf(page, 'slow-1').click();
    await drawer(page).getByRole('button', { name: 'Release' }).click();
    await question(page).getByRole('button', { name: 'Release' }).click();
    await slow.arrived(1);
    await question(page).getByRole('button', { name: 'Cancel' }).click();
    await drawer(page).getByRole('button', { name: 'Close' }).click();
    await filterBy(page, 'Holder', 'slow-2');
    await rowOf(page, 'slow-2').click();
    await drawer(page).getByRole('button', { name: 'Release' }).click();
    await question(page).getByText('Ends the lease of slow-2').waitFor();
    await slow.release();
    await expect.poll(() => said(page)).toMatch(/is released/);
    expect(await question(page).isVisible()).toBe(true);
    expect(await question(page).getByRole('button', { name: 'Release' }).isEnabled()).toBe(true);
  });

  it('counts who was turned away, and tries all failed deletions again with one button', async () => {
    const page = await open();
    const refusals = page.locator('.number.refusals strong');
    await expect.poll(() => refusals.innerText()).toBe('0');
    const refused = await stage.tryToAllocate('too-picky', 'no-such-name');
    expect(refused).toBe(409);
    await expect.poll(() => refusals.innerText()).not.toBe('0');

    const ids = [await stage.allocate('gone-1', 'lesson'), await stage.allocate('gone-2', 'lesson')];
    for (const [index, id] of ids.entries()) await stage.mark(id, `gone-${index + 1}`);
    stage.csp.faults.add('delete', { kind: 'respond', status: 409 }, { times: 2 });
    await stage.post('/v1/admin/cleanup');
    await page.getByRole('button', { name: 'Retry all failed' }).click();
    await question(page).getByText('each of the 2 failed deletions').waitFor();
    await question(page).getByRole('button', { name: 'Retry all' }).click();
    await expect.poll(() => said(page)).toBe('All done: 2 retried.');
    for (const id of ids) expect(await stage.statusOf(id)).not.toBe('deletion_failed');
  });

  it('takes what is typed from the first moment on', async () => {
    const page = await open();
    // A machine so busy that no frame is painted for a while.
    await page.addInitScript(
      '{ const later = setTimeout; requestAnimationFrame = () => 0; setTimeout = (work, ms, ...more) => later(work, (ms ?? 0) + 2_000, ...more); sessionStorage.clear(); }',
    );
    await page.reload();
    expect(await page.evaluate('document.activeElement.id')).toBe('token');
  });
});
