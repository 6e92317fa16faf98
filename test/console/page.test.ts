import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { describeInChromium, logIn } from './browser.ts';
import { type ConsoleOptions, consoleOfTest, filterBy, rowOf, rows, said } from './console-steps.ts';
import { contrastsBelow, controlsWithoutName, overflowing } from './page-scripts.ts';
import { ADMIN_TOKEN, type Stage, setStage } from './stage.ts';

vi.setConfig(PROCESS_TIMES);

const POOL = 60;

/** The figure on a tile of the pool. */
const figure = (page: Page, name: string) =>
  page.locator('.number', { has: page.getByText(name, { exact: true }) }).locator('strong');
/** Which sandboxes are leased, and on which page they stand, is left to chance. */
async function openLeased(page: Page): Promise<void> {
  await page.getByLabel('Status').selectOption('allocated');
  await rowOf(page, 'early-').first().click();
}

describeInChromium('the console', (browser: () => Browser) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage(POOL);
    for (let index = 0; index < 12; index++) await stage.allocate(`early-${index}`, `lab-of-${index % 2}`);
  });
  afterAll(() => stage.stop());

  const open = (options: ConsoleOptions = {}) => consoleOfTest(browser(), stage.url, options);

  it('lets in who has a token, keeps it in the tab alone, and tells the others why not', async () => {
    const page = await open({ token: '' });
    const field = page.getByLabel('Admin or viewer token');
    const enter = async (token: string) => {
      await field.fill(token);
      await field.press('Enter');
    };
    await enter('a-guess');
    await page.getByText('This token is not known to the broker.').waitFor();
    await enter('dev-track-token');
    await page.getByText('This is a track’s token').waitFor();
    await enter(ADMIN_TOKEN);
    await page.getByText('Live', { exact: true }).waitFor();
    expect(page.url()).toBe(`${stage.url}/console`);
    const kept = await page.evaluate(
      '[document.cookie, Object.values(localStorage).join(), Object.values(sessionStorage).join()]',
    );
    expect(kept).toEqual(['', '', ADMIN_TOKEN]);

    await page.reload();
    await page.getByText('Live', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await field.waitFor();
    await page.reload();
    await field.waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });

  it('shows the pool, its health, its loops and its charts at a glance', async () => {
    const page = await open();
    await expect.poll(async () => figure(page, 'Allocated').innerText()).toMatch(/^[1-9]\d$/);
    await page.getByRole('heading', { name: 'GO', exact: true }).waitFor();
    for (const loop of ['Sync', 'Cleanup', 'Expiry', 'Purge', 'Counts']) {
      const row = page.locator('.loops tr', { hasText: loop });
      await expect.poll(() => row.innerText()).toMatch(/(ago|now)[\s\S]*in \d/);
    }
    for (const breaker of ['Csp list', 'Csp delete', 'Webhook'])
      await page.locator('.switches strong', { hasText: breaker }).first().waitFor();
    const charts = await page.getByRole('img').evaluateAll((all) => all.map((each) => each.ariaLabel));
    expect(charts.join()).toMatch(/Line chart of the pool since[\s\S]*Line chart of new leases/);
    // A young process owns up to it.
    await page.getByText('nothing is known from before').waitFor();
    expect(await page.locator('canvas').count()).toBe(2);
  });

  it('saves what the filters leave as a file', async () => {
    const page = await open();
    await filterBy(page, 'Holder', 'early-1');
    await rowOf(page, 'early-1').first().waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Export CSV' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('sandboxes.csv');
    const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\n');
    expect(lines[0]).toMatch(/^sandbox_id,name,/);
    expect(
      lines
        .slice(1)
        .map((line) => /early-\d+/.exec(line)?.[0])
        .sort(),
    ).toEqual(['early-1', 'early-10', 'early-11']);
    await page.getByRole('button', { name: 'Export CSV' }).waitFor();
  });

  it('finds sandboxes by status, name, holder and lab, page by page, and sorts a page', async () => {
    const page = await open();
    const names = () => page.locator('.sandboxes button.name').allInnerTexts();
    const pages = page.getByRole('navigation', { name: 'Pages of sandboxes' });
    const first = await names();
    expect(first).toHaveLength(25);
    await pages.getByRole('button', { name: 'Next' }).click();
    await pages.getByText('Page 2, 25').waitFor();
    await pages.getByRole('button', { name: 'Next' }).click();
    await pages.getByText('Page 3, 10 sandboxes, the last page').waitFor();
    const last = await names();
    expect(last.filter((name) => first.includes(name))).toEqual([]);
    await pages.getByRole('button', { name: 'Previous' }).click();
    await pages.getByRole('button', { name: 'Previous' }).click();
    await pages.getByText('Page 1, 25').waitFor();
    expect(await names()).toEqual(first);

    await page.getByRole('button', { name: 'Name' }).click();
    expect(await names()).toEqual([...first].sort());
    await page.getByRole('button', { name: 'Name' }).click();
    expect(await names()).toEqual([...first].sort().reverse());
    await page.getByText('Sorted within this page.').waitFor();

    await page.getByLabel('Status').selectOption('allocated');
    await page.getByLabel('Lab').fill('lab-of-1');
    await page.getByLabel('Lab').press('Enter');
    await pages.getByText('6 sandboxes, the last page').waitFor();
    await page.getByLabel('Holder').fill('early-11');
    await page.getByLabel('Holder').press('Enter');
    await pages.getByText('one sandbox').waitFor();
    await rowOf(page, 'early-11').waitFor();
    await page.getByLabel('Holder').fill('nobody');
    await page.getByLabel('Holder').press('Enter');
    await page.getByText('No sandbox matches these filters.').waitFor();
    await page.getByRole('button', { name: 'Clear' }).click();
    await pages.getByText('Page 1, 25').waitFor();
  });

  it('shows what another client does without being asked', async () => {
    const page = await open();
    await page.getByLabel('Holder').fill('late-');
    await page.getByLabel('Holder').press('Enter');
    await page.getByText('No sandbox matches these filters.').waitFor();
    const free = Number(await figure(page, 'Free').innerText());

    const id = await stage.allocate('late-1', 'night-class');
    await rowOf(page, 'night-class').waitFor();
    await expect.poll(() => figure(page, 'Free').innerText()).toBe(String(free - 1));
    await stage.mark(id, 'late-1');
    await rowOf(page, 'late-1').getByText('Pending deletion').waitFor();
  });

  it('releases a sandbox when that is confirmed, having said what it means, and shows the change', async () => {
    const page = await open();
    await stage.allocate('guest-1', 'demo');
    await page.getByLabel('Holder').fill('guest-1');
    await page.getByLabel('Holder').press('Enter');
    await rowOf(page, 'guest-1').click();
    const drawer = page.locator('dialog.drawer');
    const release = drawer.getByRole('button', { name: 'Release' });
    await release.click();
    const question = page.locator('dialog.confirmation');
    await question.getByText('Ends the lease of guest-1 at once.').waitFor();
    await question.getByText('cannot be undone').waitFor();
    await question.getByRole('button', { name: 'Cancel' }).click();
    await question.waitFor({ state: 'hidden' });
    await drawer.getByText('Allocated', { exact: true }).waitFor();

    await release.click();
    await question.getByRole('button', { name: 'Release' }).click();
    await drawer.getByText('Pending deletion', { exact: true }).waitFor();
    await drawer.locator('.history').getByText('by admin').waitFor();
    await drawer.getByRole('button', { name: 'Quarantine' }).waitFor();
    await expect.poll(() => said(page)).toMatch(/is released/);
  });

  it('keeps a sandbox out of the pool for a reason that is said, and puts it back', async () => {
    const page = await open();
    await page.getByLabel('Status').selectOption('available');
    await rowOf(page, 'Free').first().locator('button.name').click();
    const drawer = page.locator('dialog.drawer');
    const question = page.locator('dialog.confirmation');
    await drawer.getByRole('button', { name: 'Quarantine' }).click();
    const confirm = question.getByRole('button', { name: 'Quarantine' });
    expect(await confirm.isDisabled()).toBe(true);
    await question.getByLabel('Reason').fill('disk errors');
    await confirm.click();
    await drawer.getByText('Quarantined', { exact: true }).waitFor();
    await drawer.locator('.facts').getByText('disk errors').waitFor();
    await expect.poll(() => figure(page, 'Quarantined').innerText()).toBe('1');
    await drawer.getByRole('button', { name: 'Restore' }).click();
    await question.getByText('It was not used').waitFor();
    await question.getByRole('button', { name: 'Restore' }).click();
    await drawer.getByText('Free', { exact: true }).waitFor();
    await expect.poll(() => said(page)).toMatch(/is restored/);
  });

  it('starts a run, follows it while it goes on, and retries what it could not delete', async () => {
    const page = await open();
    for (const holder of ['run-1', 'run-2']) await stage.mark(await stage.allocate(holder, 'run'), holder);
    const held = Promise.withResolvers<void>();
    stage.csp.faults.add('delete', { kind: 'respond', status: 403 });
    stage.csp.faults.add('delete', { kind: 'hold', until: held.promise });
    onTestFinished(() => held.resolve());

    await page.getByRole('button', { name: 'Cleanup now' }).click();
    const question = page.locator('dialog.confirmation');
    await question.getByText('Deletes at the provider what was given back').waitFor();
    await question.getByRole('button', { name: 'Clean up now' }).click();
    const job = page.locator('.job').first();
    await job.getByText('running').waitFor();
    const bar = job.getByRole('progressbar', { name: 'Cleanup, progress' });
    const left = async () => Number(await bar.getAttribute('max')) - Number(await bar.getAttribute('value'));
    await expect.poll(left).toBe(1);
    expect(Number(await bar.getAttribute('value'))).toBeGreaterThan(0);
    held.resolve();
    await job.getByText('completed').waitFor();
    await job.getByText(/1 failed/).waitFor();
    await expect.poll(() => said(page)).toMatch(/^Cleanup completed: /);

    await page.getByText('Deletion parked').first().waitFor();
    await page.getByLabel('Status').selectOption('deletion_failed');
    await rowOf(page, 'Deletion failed').locator('button.name').click();
    await page.getByRole('button', { name: 'Retry deletion' }).click();
    await question.getByRole('button', { name: 'Retry deletion' }).click();
    await page.locator('dialog.drawer').getByText('Pending deletion', { exact: true }).waitFor();
  });

  it('says that the broker is gone, comes back by itself, and knows then what it missed', async () => {
    const { hostname, port } = new URL(stage.url);
    const proxy = await startFaultProxy({ host: hostname, port: Number(port) });
    onTestFinished(() => proxy.close());
    const page = await open({ url: proxy.endpoint, token: '' });
    await page.clock.install();
    await page.reload();
    await logIn(page, ADMIN_TOKEN);
    await page.getByLabel('Holder').fill('meanwhile');
    await page.getByLabel('Holder').press('Enter');
    await page.getByText('No sandbox matches these filters.').waitFor();

    await proxy.behave({ kind: 'refuse' });
    proxy.cutConnections();
    await page.getByText('Reconnecting').waitFor();
    await page.getByText(/last news \d+ s ago/).waitFor();
    await page.getByText('Not known').waitFor();
    await page.getByLabel('Status').selectOption('allocated');
    await page.locator('.sandboxes').getByText('The broker does not answer.').waitFor();
    await stage.allocate('meanwhile-1', 'evening');

    await proxy.behave({ kind: 'pass' });
    await page.getByText('Live', { exact: true }).waitFor();
    await rowOf(page, 'meanwhile-1').waitFor();
    await page.locator('.sandboxes').getByText('The broker does not answer.').waitFor({ state: 'hidden' });

    // A connection that has died without a word: nothing comes any more, and nothing says so.
    await proxy.behave({ kind: 'black_hole' });
    await page.clock.fastForward(20_000);
    await page.getByText('Reconnecting').waitFor();
    await proxy.behave({ kind: 'pass' });
    await page.clock.fastForward(20_000);
    await page.getByText('Live', { exact: true }).waitFor();
  });

  it('offers nothing that changes anything to who only looks', async () => {
    const actions = (page: Page) => page.getByRole('button', { name: / now$/ });
    const page = await open();
    expect(await actions(page).count()).toBe(4);
    await page.getByRole('switch', { name: 'Read-only' }).check();
    expect(await actions(page).count()).toBe(0);
    await page.reload();
    await page.getByText('Live', { exact: true }).waitFor();
    expect(await actions(page).count()).toBe(0);
    await openLeased(page);
    await page.getByText('Read-only: no actions.').waitFor();

    const viewers = await open({ token: 'viewer-token' });
    await viewers.getByText('Viewer: read-only').waitFor();
    expect(await actions(viewers).count()).toBe(0);
    expect(await viewers.getByRole('switch').count()).toBe(0);
    await openLeased(viewers);
    await viewers.getByRole('heading', { name: 'History' }).waitFor();
    expect(await viewers.getByRole('button', { name: 'Release' }).count()).toBe(0);
  });

  it('can be used without a mouse', async () => {
    const page = await open({ token: '' });
    await page.keyboard.type(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    await rows(page).nth(1).waitFor();
    const focused = () => page.evaluate('document.activeElement.textContent.trim()');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the sandboxes');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Export CSV');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.name')).toBe('status');
    for (let tabs = 0; tabs < 20 && !String(await focused()).startsWith('Name'); tabs++)
      await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    expect(await page.locator('th.column-name').getAttribute('aria-sort')).toBe('ascending');
    for (let tabs = 0; tabs < 6; tabs++) await page.keyboard.press('Tab');
    const name = await focused();
    expect(name).toBe(await page.locator('.sandboxes button.name').first().innerText());
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'History' }).waitFor();
    expect(await focused()).toBe('Close');
    await page.keyboard.press('Escape');
    await page.locator('dialog.drawer').waitFor({ state: 'hidden' });
    expect(await focused()).toBe(name);
    const nameless = await page.evaluate(controlsWithoutName);
    expect(nameless).toEqual([]);
  });

  it('fits on a phone, and can be read there by day and by night', async () => {
    const page = await open({ viewport: { width: 390, height: 844 }, colorScheme: 'light' });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await page.evaluate(overflowing)).toEqual([]);
      // What glides from one colour to the other has an end, too.
      await expect.poll(() => page.evaluate(contrastsBelow)).toEqual([]);
    }
    await openLeased(page);
    await page.getByRole('heading', { name: 'History' }).waitFor();
    expect(await page.evaluate(overflowing)).toEqual([]);
    const drawer = page.locator('dialog.drawer .side-content');
    expect(await drawer.evaluate((each) => each.scrollWidth - each.clientWidth)).toBe(0);
    expect(await drawer.boundingBox()).toMatchObject({ x: 0, width: 390 });
  });
});
