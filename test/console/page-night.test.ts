import type { Browser } from 'playwright-core';
import { expect, it, onTestFinished, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { describeInChromium } from './browser.ts';
import { consoleOfTest, filterBy, said } from './console-steps.ts';
import { contrastsBelow, controlsWithoutName, overflowing } from './page-scripts.ts';
import { setStage } from './stage.ts';

vi.setConfig(PROCESS_TIMES);

const PHONE = { width: 390, height: 844 };

describeInChromium('the console in the night', (browser: () => Browser) => {
  it('says on a phone, first of all, that it does not serve and why, and what that means', async () => {
    const listing = Promise.withResolvers<void>();
    const stage = await setStage(0, {}, (csp) =>
      csp.faults.add('list', { kind: 'hold', until: listing.promise }),
    );
    onTestFinished(() => {
      listing.resolve();
      return stage.stop();
    });
    const page = await consoleOfTest(browser(), stage.url, { viewport: PHONE, isEmpty: true });
    await page.locator('.bar').getByText('NO-GO', { exact: true }).waitFor();
    const why = page.locator('.reasons').getByText('pool: not synced yet');
    expect((await why.boundingBox())?.y).toBeLessThan(160);
    expect(await page.title()).toBe('NO-GO · Sandbox Broker');
    expect(await page.evaluate(overflowing)).toEqual([]);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await expect.poll(() => page.evaluate(contrastsBelow)).toEqual([]);
    }

    const [handbook] = await Promise.all([
      page.waitForEvent('popup'),
      page.getByRole('link', { name: 'What this means' }).click(),
    ]);
    const heading = handbook.getByRole('heading', { name: 'GO, serving but, NO-GO' });
    await heading.waitFor();
    await expect.poll(async () => (await heading.boundingBox())?.y).toBeLessThan(100);
    expect(await handbook.evaluate(overflowing)).toEqual([]);

    listing.resolve();
    await page.locator('.bar').getByText('Serving, but', { exact: true }).waitFor();
    await page.getByText('pool: empty, no sandbox is known').waitFor();
  });

  it('leads from an alert to its runbook', async () => {
    const stage = await setStage(2);
    onTestFinished(() => stage.stop());
    for (const holder of ['anna', 'berta']) await stage.allocate(holder, 'lesson');
    const page = await consoleOfTest(browser(), stage.url);
    const [runbook] = await Promise.all([
      page.waitForEvent('popup'),
      page.getByRole('link', { name: 'What to do about: Pool empty' }).click(),
    ]);
    expect(runbook.url()).toBe(`${stage.url}/console/operations#pool_empty`);
    await runbook.getByRole('heading', { name: 'pool_empty' }).waitFor();
    await runbook.getByRole('link', { name: 'BrokerPoolEmpty' }).first().click();
    await runbook.getByRole('heading', { name: 'BrokerPoolEmpty' }).waitFor();
  });

  it('holds a breaker, resets it, and changes a quota, on the word of an operator', async () => {
    const stage = await setStage(3);
    onTestFinished(() => stage.stop());
    const page = await consoleOfTest(browser(), stage.url);
    const question = page.locator('dialog.confirmation');
    const deletes = page.locator('.switches li', { hasText: 'Csp delete' });
    await page.getByRole('button', { name: 'Hold open Csp delete' }).click();
    await question.getByLabel('For how long').selectOption({ label: 'one hour' });
    await question.getByRole('button', { name: 'Hold open' }).click();
    await deletes
      .first()
      .getByText(/open.*held so until in (1 h|59 min)/)
      .waitFor();
    await page.getByRole('button', { name: 'Reset Csp delete' }).click();
    await question.getByRole('button', { name: 'Reset' }).click();
    await deletes.first().getByText('closed').waitFor();

    const exports = page.locator('.switches li', { hasText: 'Data export' });
    await page.getByRole('button', { name: 'Change Data export' }).click();
    const limit = question.getByLabel('Uses in any window');
    expect(await limit.inputValue()).toBe('10');
    await limit.fill('many');
    await limit.press('Enter');
    await question.getByText('Say a whole number').waitFor();
    await limit.fill('7');
    await limit.press('Enter');
    await exports.getByText(/0 of 7 in 1 h.*set by an operator/).waitFor();
    await page.locator('.toast').getByText('The quota of Data export is 7.').waitFor();
    await page.getByRole('button', { name: 'Reset Data export' }).click();
    await question.getByRole('button', { name: 'Reset' }).click();
    await exports.getByText('0 of 10 in 1 h').waitFor();
  });

  it('takes back all that a filter means, having counted them', async () => {
    const stage = await setStage(8);
    onTestFinished(() => stage.stop());
    const ids = await Promise.all(
      ['exam-1', 'exam-2', 'other'].map((holder) => stage.allocate(holder, 'exam')),
    );
    const page = await consoleOfTest(browser(), stage.url);
    const question = page.locator('dialog.confirmation');
    await filterBy(page, 'Holder', 'exam-');
    await page.getByText('Page 1, 2 sandboxes').waitFor();
    await page.getByRole('button', { name: 'Release all' }).click();
    await question.getByText('Release 2 sandboxes?').waitFor();
    await question.getByText('of holders that begin with exam-').waitFor();
    const [order] = await Promise.all([
      page.waitForRequest(/\/v1\/admin\/release\?/),
      question.getByRole('button', { name: 'Release all' }).click(),
    ]);
    // Whoever comes after the count keeps what it gets.
    expect(new URL(order.url()).searchParams.get('leased_before')).toMatch(/^\d{10}$/);
    await expect.poll(() => said(page)).toBe('All done: 2 released.');
    expect(await Promise.all(ids.map(stage.statusOf))).toEqual([
      'pending_deletion',
      'pending_deletion',
      'allocated',
    ]);
    await page.getByLabel('Status').selectOption('stale');
    await page.getByRole('button', { name: 'Clear' }).click();
    await page.getByLabel('Status').selectOption('stale');
    await page.getByRole('button', { name: 'Remove records' }).click();
    await question.getByText('There is none that these filters mean.').waitFor();
    expect(await question.getByRole('button', { name: 'Remove all' }).isDisabled()).toBe(true);
  });

  it('stops between two steps when it is told to, and says how far it came', async () => {
    const stage = await setStage(110);
    onTestFinished(() => stage.stop());
    await Promise.all(Array.from({ length: 105 }, (_, index) => stage.allocate(`s-${index}`, 'exam')));
    const page = await consoleOfTest(browser(), stage.url);
    const held = Promise.withResolvers<void>();
    await page.route(/\/release\?/, async (route) => {
      await held.promise;
      await route.continue();
    });
    const question = page.locator('dialog.confirmation');
    await page.getByLabel('Status').selectOption('allocated');
    await page.getByRole('button', { name: 'Release all' }).click();
    await question.getByRole('button', { name: 'Release all' }).click();
    await question.getByText('0 of 105').waitFor();
    await question.getByRole('button', { name: 'Stop' }).click();
    held.resolve();
    await expect.poll(() => said(page)).toBe('Stopped: 100 released of 105.');
  });

  it('shows all jobs with who asked for them, and what a dry run held back, at an address of their own', async () => {
    const stage = await setStage(3, { DRY_RUN: 'true' });
    onTestFinished(() => stage.stop());
    await stage.mark(await stage.allocate('anna', 'lesson'), 'anna');
    const page = await consoleOfTest(browser(), stage.url);
    for (const run of ['Cleanup', 'Expire']) {
      await page.getByRole('button', { name: `${run} now` }).click();
      await page.locator('dialog.confirmation').getByRole('button', { name: / now$/ }).click();
      await page.locator('.job', { hasText: run }).getByText('completed').waitFor();
    }
    await page.getByRole('button', { name: 'All jobs' }).click();
    const jobs = page.locator('dialog.jobs-drawer');
    await jobs.getByLabel('Type').selectOption('Cleanup');
    await jobs.locator('.entries li').nth(1).waitFor({ state: 'detached' });
    await jobs.getByText('dry run: ').click();
    await jobs.getByText(/^\d{4}-.* by admin/).waitFor();
    await page.goBack();
    await jobs.waitFor({ state: 'hidden' });
    await page.goto(`${stage.url}/console?panel=dry-run`);
    const log = page.locator('dialog.dry-run-drawer');
    await log.getByText('The dry run is on.').waitFor();
    await log
      .getByText(/sandbox id sbx-\d/)
      .first()
      .waitFor();
    expect(await page.evaluate(controlsWithoutName)).toEqual([]);
  });

  it('opens the one sandbox of a name, a holder or an id, and shows what there is of several', async () => {
    const stage = await setStage(12);
    onTestFinished(() => stage.stop());
    const id = await stage.allocate('anna', 'lesson');
    const page = await consoleOfTest(browser(), stage.url);
    const drawer = page.locator('dialog.drawer');
    await page.keyboard.press('/');
    const lookUp = async (text: string) => {
      await page.keyboard.type(text);
      await page.keyboard.press('Enter');
    };
    for (const text of ['anna', id, 'lab-0007']) {
      await lookUp(text);
      await drawer
        .locator('.facts')
        .getByText(text === 'lab-0007' ? 'sbx-7' : id, { exact: true })
        .waitFor();
      await page.keyboard.press('Escape');
      await drawer.waitFor({ state: 'hidden' });
    }
    await lookUp('lab-001');
    await page.getByText('Page 1, 3 sandboxes').waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('sandboxes');
    expect(await page.getByLabel('Find', { exact: true }).inputValue()).toBe('lab-001');
  });

  it('shows a dry run, an empty pool, and that somebody asks too often', async () => {
    const rehearsal = await setStage(0, { DRY_RUN: 'true', SANDBOX_API_LIMIT: '40' });
    onTestFinished(() => rehearsal.stop());
    const page = await consoleOfTest(browser(), rehearsal.url, { isEmpty: true });
    await page.getByText('The pool is empty: no sandbox is known.').waitFor();
    await page.locator('.top-bar').getByText('Serving, but', { exact: true }).waitFor();
    await page.locator('.top-bar').getByText('pool: empty, no sandbox is known').waitFor();
    await page.getByRole('heading', { name: 'Serving, but', exact: true }).waitFor();
    await page
      .getByRole('cell', { name: 'The pool is empty. A sync takes over what the provider has.' })
      .waitFor();
    await page.getByRole('note').getByText('Nothing that cannot be undone is done').waitFor();
    await page.getByRole('button', { name: 'Cleanup now' }).click();
    const question = page.locator('dialog.confirmation');
    await question.getByText('Nothing will be deleted; the run says what it would have done.').waitFor();
    await question.getByRole('button', { name: 'Clean up now' }).click();
    await page.locator('.job').first().getByText('completed').waitFor();

    await rehearsal.askUntilRefused();
    await page.getByLabel('Status').selectOption('stale');
    await page.getByText('Too many requests').first().waitFor();
  });
});
