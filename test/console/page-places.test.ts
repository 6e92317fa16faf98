import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { describeInChromium } from './browser.ts';
import { consoleOfTest, filterBy, rowOf, rows } from './console-steps.ts';
import { type Stage, setStage } from './stage.ts';

vi.setConfig(PROCESS_TIMES);

describeInChromium('where one is in the console', (browser: () => Browser) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage(30);
    for (const holder of ['anna', 'berta']) await stage.allocate(holder, 'lesson');
  });
  afterAll(() => stage.stop());
  const drawer = (page: Page) => page.locator('dialog.drawer');
  const search = (page: Page) => new URL(page.url()).search;

  it('stands in its address: Back undoes it step by step, and a link leads there', async () => {
    const page = await consoleOfTest(browser(), stage.url);
    await filterBy(page, 'Holder', 'anna');
    await rowOf(page, 'anna').waitFor();
    await page.getByRole('button', { name: '15 min' }).click();
    await rowOf(page, 'anna').click();
    await drawer(page).locator('.facts').getByText('anna').waitFor();
    const link = page.url();
    expect(search(page)).toMatch(/^\?holder=anna&sandbox=sbx-\d+&range=15m$/);

    await page.goBack();
    await drawer(page).waitFor({ state: 'hidden' });
    await page.goBack();
    await page.getByRole('button', { name: '6 h', pressed: true }).waitFor();
    await page.goBack();
    await rows(page).nth(2).waitFor();
    await expect
      .poll(async () => [search(page), await page.getByLabel('Holder').inputValue()])
      .toEqual(['', '']);
    await page.goForward();
    await expect.poll(() => page.getByLabel('Holder').inputValue()).toBe('anna');

    await page.goto(link);
    await drawer(page).locator('.facts').getByText('anna').waitFor();
    await page.keyboard.press('Escape');
    await rowOf(page, 'anna').waitFor();
    await page.getByRole('button', { name: '15 min', pressed: true }).waitFor();
    expect(search(page)).toBe('?holder=anna&range=15m');
  });

  it('takes a question along when one goes elsewhere', async () => {
    const page = await consoleOfTest(browser(), stage.url);
    await filterBy(page, 'Holder', 'berta');
    await rowOf(page, 'berta').click();
    await drawer(page).getByRole('button', { name: 'Release' }).click();
    await page.locator('dialog.confirmation').getByText('Ends the lease of berta').waitFor();
    await page.goBack();
    await page.locator('dialog.confirmation').waitFor({ state: 'hidden' });
    await drawer(page).waitFor({ state: 'hidden' });
  });

  it('shows every time by one clock, with its zone', async () => {
    const page = await consoleOfTest(browser(), stage.url, { timezoneId: 'Asia/Kolkata', locale: 'en-US' });
    await page.getByText('times in Asia/Calcutta (UTC+5:30)').waitFor();
    await page
      .locator('.u-legend')
      .first()
      .getByText(/^\d\d:\d\d:\d\d UTC\+5:30$/)
      .waitFor();
    await filterBy(page, 'Holder', 'anna');
    await rowOf(page, 'anna').click();
    const facts = drawer(page).locator('.facts dd', { hasText: '(' });
    await expect.poll(() => facts.count()).toBeGreaterThan(2);
    const times = await facts.allInnerTexts();
    for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\+5:30 \(/);
  });
});
