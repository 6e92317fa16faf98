import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { openConsole } from './browser.ts';
import { ADMIN_TOKEN } from './stage.ts';

export const rows = (page: Page) => page.locator('.sandboxes tbody tr');
export const rowOf = (page: Page, text: string) => rows(page).filter({ hasText: text });
/** What a screen reader is told last. */
export const said = (page: Page) => page.locator('p.visually-hidden[role=status]').innerText();
/** Types into a filter, and waits for nothing. */
export async function filterBy(page: Page, label: string, text: string): Promise<void> {
  await page.getByLabel(label, { exact: true }).fill(text);
  await page.getByLabel(label, { exact: true }).press('Enter');
}

export interface ConsoleOptions extends BrowserContextOptions {
  /** Empty: nobody logs in. */
  token?: string;
  url?: string;
  isEmpty?: boolean;
}

/** A console of its own; when the test is over it has done nothing that it should not. */
export async function consoleOfTest(
  browser: Browser,
  home: string,
  options: ConsoleOptions = {},
): Promise<Page> {
  const { token = ADMIN_TOKEN, url = home, isEmpty = false, ...context } = options;
  const { page, faults, close } = await openConsole(browser, url, { ...context, token });
  onTestFinished(async () => {
    await close();
    expect(faults).toEqual([]);
  });
  if (token !== '') {
    await page.getByText('Live', { exact: true }).waitFor();
    if (!isEmpty) await rows(page).nth(1).waitFor();
  }
  return page;
}
