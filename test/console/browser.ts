import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe } from 'vitest';

const CHROMIUM = '/usr/bin/chromium';
const STEP_WITHIN_MS = 30_000;

/** A suite in a real browser. Where there is none it is skipped, and its name says so. */
export function describeInChromium(name: string, body: (browser: () => Browser) => void): void {
  if (!existsSync(CHROMIUM)) {
    const skipped = () =>
      body(() => {
        throw new Error('there is no browser');
      });
    describe.skipIf(true)(`${name} (skipped: no ${CHROMIUM})`, skipped);
    return;
  }
  describe(name, () => {
    let browser: Browser | undefined;
    beforeAll(async () => {
      browser = await launchChromium();
    });
    afterAll(() => browser?.close());
    body(() => {
      if (browser === undefined) throw new Error('the browser is not there yet');
      return browser;
    });
  });
}

export const launchChromium = (): Promise<Browser> =>
  // Where there is no graphics card, one that is emulated costs more than none.
  chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

/** A page of the console that remembers what it should not have done. */
export interface ConsolePage {
  page: Page;
  /** Errors of the page's scripts, of its policy, and requests to anybody but the broker. */
  faults: string[];
  close(): Promise<void>;
}

/** What a tab keeps the token under. */
const TOKEN_KEY = 'sandbox-broker.token';

/**
 * Opens the console of the broker at `url` in a browser of its own: nothing is shared with other pages. With a `token`
 * its tab has logged in before.
 */
export async function openConsole(
  browser: Browser,
  url: string,
  { token = '', ...options }: BrowserContextOptions & { token?: string } = {},
): Promise<ConsolePage> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  if (token !== '') {
    const kept = [TOKEN_KEY, token].map((text) => JSON.stringify(text)).join();
    await context.addInitScript(`sessionStorage.setItem(${kept})`);
  }
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_WITHIN_MS);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.stack ?? error.message}`));
  page.on('console', (message) => {
    // The browser itself notes every refusal and every broken connection, which some tests are about.
    const isNote = message.text().startsWith('Failed to load resource');
    if (['error', 'warning'].includes(message.type()) && !isNote) faults.push(`console: ${message.text()}`);
  });
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith('/console') && response.status() >= 400) faults.push(`missing: ${pathname}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== url) faults.push(`request: ${request.url()}`);
  });
  await page.goto(`${url}/console`);
  return { page, faults, close: () => context.close() };
}

export async function logIn(page: Page, token: string): Promise<void> {
  await page.getByLabel('Admin or viewer token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Sandboxes' }).waitFor();
}
