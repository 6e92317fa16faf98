import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { describeInChromium } from './browser.ts';
import { consoleOfTest, said } from './console-steps.ts';
import { contrastsBelow, controlsWithoutName, overflowing } from './page-scripts.ts';
import { type Stage, setStage } from './stage.ts';

vi.setConfig(PROCESS_TIMES);

/** A name that no sandbox has. */
const NONE = 'no-such-';
const PHONE = { width: 390, height: 844 };

describeInChromium('the line in the console', (browser: () => Browser) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage(3);
  });
  afterAll(() => stage.stop());

  const line = (page: Page) => page.getByRole('region', { name: 'Line' });
  const places = (page: Page) => line(page).getByRole('listitem');

  it('is empty, fills while one looks, and a place is removed after a question', async () => {
    const page = await consoleOfTest(browser(), stage.url);
    await line(page).getByText('Nobody waits.').waitFor();
    await stage.waitInLine('ada', NONE);
    await line(page).getByText('One waits.').waitFor();
    await stage.waitInLine('bob', NONE);
    await line(page).getByText('2 wait.').waitFor();
    const texts = await places(page).allInnerTexts();
    expect(texts.map((text) => text.replace(/\s+/g, ' '))).toEqual([
      expect.stringMatching(/^1 ada joined (now|\d+ s ago), lab lesson, only no-such-….* Remove/),
      expect.stringMatching(/^2 bob joined /),
    ]);

    await places(page).first().getByRole('button', { name: 'Remove ada' }).click();
    await page.locator('dialog.confirmation').getByText('it joins at the end').waitFor();
    await page.locator('dialog.confirmation').getByRole('button', { name: 'Remove' }).click();
    await expect.poll(() => said(page)).toBe('ada has no place in the line any more.');
    await line(page).getByText('One waits.').waitFor();
    expect(await places(page).allInnerTexts()).toEqual([expect.stringMatching(/^1\s+bob/)]);
  });

  it('fits on a phone, can be read there, and offers nothing to who only looks', async () => {
    await stage.waitInLine('a-holder-with-a-name-that-is-longer-than-a-phone-is-wide', NONE);
    const page = await consoleOfTest(browser(), stage.url, { viewport: PHONE, token: 'viewer-token' });
    await places(page).nth(1).waitFor();
    expect(await line(page).getByRole('button').count()).toBe(0);
    expect(await page.evaluate(overflowing)).toEqual([]);
    expect(await page.evaluate(contrastsBelow)).toEqual([]);
    expect(await page.evaluate(controlsWithoutName)).toEqual([]);
  });
});
