import type { Browser } from 'playwright-core';
import { expect, it, onTestFinished, vi } from 'vitest';
import { PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { describeInChromium } from './browser.ts';
import { consoleOfTest } from './console-steps.ts';
import { overflowing } from './page-scripts.ts';
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
    expect((await why.boundingBox())?.y).toBeLessThan(120);
    expect(await page.evaluate(overflowing)).toEqual([]);

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
});
