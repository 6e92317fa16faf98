/**
 * Screenshots of the console's main states: `node test/console/screenshots.ts [folder]`. They are for looking at, so
 * nothing compares them; without a folder they go where git does not see them.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium, logIn, openConsole } from './browser.ts';
import { ADMIN_TOKEN, type Stage, setStage } from './stage.ts';

const folder = process.argv[2] ?? fileURLToPath(new URL('../../data/screenshots', import.meta.url));
const DESKTOP: BrowserContextOptions = { viewport: { width: 1440, height: 1000 } };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  hasTouch: true,
};
const LABS = ['intro-to-search', 'agents-hands-on', 'observability-101'];

await mkdir(folder, { recursive: true });
const browser = await launchChromium();
const stages = {
  busy: await setStage(240),
  dry: await setStage(8, { DRY_RUN: 'true' }),
  /** The provider is ill: no listing, no delete, and one lease too few. */
  ill: await setStage(6, { BREAKER_FAILURES: '2', RETRY_MAX_RETRIES: '0', CLEANUP_INTERVAL_SEC: '5' }),
  /** The first listing never comes. */
  noGo: await setStage(0, { CSP_TIMEOUT_READ_SEC: '300' }, (csp) =>
    csp.faults.add('list', { kind: 'hold', until: new Promise(() => undefined) }),
  ),
};
const stage = stages.busy;
const LOOKS = (['light', 'dark'] as const).flatMap((colorScheme) => [
  { name: colorScheme, isPhone: false, options: { ...DESKTOP, colorScheme } },
  { name: `phone-${colorScheme}`, isPhone: true, options: { ...PHONE, colorScheme } },
]);
try {
  await play(stages.busy);
  await fallIll(stages.ill);
  for (const look of LOOKS) {
    await walkThrough(look.name, look.options);
    await shootTroubles(look);
  }
  await shootOthers(browser);
} finally {
  await browser.close();
  for (const each of Object.values(stages)) await each.stop();
}
console.log(`screenshots: ${folder}`);

/** Breakers open, alerts, refusals: what one is called for in the night. */
async function fallIll(on: Stage): Promise<void> {
  for (let index = 0; index < 6; index++) {
    const holder = `student-${index}`;
    const id = await on.allocate(holder, LABS[0] ?? '');
    if (index < 3) await on.mark(id, holder);
  }
  await on.tryToAllocate('too-late', 'lab-');
  on.poison(6);
  on.csp.faults.add('list', { kind: 'respond', status: 503 }, { times: Number.POSITIVE_INFINITY });
  for (let run = 0; run < 3; run++) {
    await on.post('/v1/admin/cleanup').catch(() => undefined);
    await on.post('/v1/admin/sync').catch(() => undefined);
  }
}

/** NO-GO, and an ill provider. */
async function shootTroubles({ name, isPhone, options }: (typeof LOOKS)[number]): Promise<void> {
  for (const [what, on] of [
    ['no-go', stages.noGo],
    ['ill', stages.ill],
  ] as const) {
    const { page, close } = await openConsole(browser, on.url, { ...options, token: ADMIN_TOKEN });
    await page.locator('.reasons li').first().waitFor();
    await page.locator('.loops tbody tr').first().waitFor();
    await page.screenshot({
      path: join(folder, `${what}-${name}.png`),
      fullPage: !isPhone || what === 'ill',
    });
    await close();
  }
}

/** Something of everything: leases of three labs, what was given back, what could not be deleted. */
async function play(on: Stage): Promise<void> {
  on.poison(240);
  const lease = async (index: number) => {
    const holder = `student-${String(index).padStart(3, '0')}`;
    return { holder, id: await on.allocate(holder, LABS[index % LABS.length] ?? '') };
  };
  for (let index = 0; index < 4; index++) {
    const { id, holder } = await lease(index);
    await on.mark(id, holder);
  }
  await on.post('/v1/admin/cleanup');
  on.csp.faults.clear();
  for (let index = 4; index < 150; index++) {
    const { id, holder } = await lease(index);
    if (index % 9 === 0) await on.mark(id, holder);
  }
  const job = await fetch(`${on.url}/v1/admin/sync`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, prefer: 'respond-async' },
  });
  await job.body?.cancel();
}

async function walkThrough(name: string, options: BrowserContextOptions): Promise<void> {
  const { page, faults, close } = await openConsole(browser, stage.url, options);
  // Nobody waits for hours: this is what they would look like.
  await page.route('**/v1/admin/history', (route) => route.fulfill({ json: someHours() }));
  const shoot = (what: string, fullPage = false) =>
    page.screenshot({ path: join(folder, `${what}-${name}.png`), fullPage });
  await page.getByLabel('Admin or viewer token').waitFor();
  await shoot('login');
  await logIn(page, ADMIN_TOKEN);
  await settled(page);
  await shoot('overview', !name.startsWith('phone'));
  await page.getByLabel('Status').selectOption('allocated');
  await page.getByLabel('Holder').fill('student-01');
  await page.getByLabel('Holder').press('Enter');
  await page.getByText('student-010').waitFor();
  await page.locator('#sandboxes').evaluate((section) => section.scrollIntoView());
  await shoot('filtered');
  await page.locator('button.name').first().click();
  await page.getByRole('heading', { name: 'History' }).waitFor();
  await shoot('drawer');
  await page.locator('dialog.drawer').getByRole('button', { name: 'Release' }).click();
  await page.getByRole('button', { name: 'Cancel' }).waitFor();
  await shoot('confirmation');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.goto(`${stage.url}/console?status=allocated&holder=student-0`);
  await page.getByRole('button', { name: 'Release all' }).click();
  await page.route(/\/v1\/admin\/release/, () => undefined);
  await page.locator('dialog.confirmation').getByRole('button', { name: 'Release all' }).click();
  await page.locator('dialog.confirmation progress').waitFor();
  await shoot('release-all');
  await page.goto(`${stage.url}/console?panel=jobs`);
  await page.locator('.entries li summary').first().click();
  await shoot('jobs');
  await page.goto(`${stage.url}/console?panel=dry-run`);
  await page.getByText('The dry run is off.').waitFor();
  await shoot('log');
  await page.goto(`${stage.url}/console`);
  await page.getByRole('button', { name: 'Change Csp delete' }).click();
  await page.locator('dialog.confirmation input').waitFor();
  await shoot('quota');
  await page.goto(`${stage.url}/console/operations#pool_empty`);
  await shoot('handbook');
  await close();
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

async function shootOthers(shared: Browser): Promise<void> {
  const viewer = await openConsole(shared, stage.url, DESKTOP);
  await logIn(viewer.page, 'viewer-token');
  await settled(viewer.page);
  await viewer.page.screenshot({ path: join(folder, 'viewer.png') });
  await viewer.close();

  const wrong = await openConsole(shared, stage.url, DESKTOP);
  await wrong.page.getByLabel('Admin or viewer token').fill('guess');
  await wrong.page.getByRole('button', { name: 'Log in' }).click();
  await wrong.page.getByText('not known').waitFor();
  await wrong.page.screenshot({ path: join(folder, 'login-refused.png') });
  await wrong.close();

  const dry = await openConsole(shared, stages.dry.url, { ...DESKTOP, colorScheme: 'dark' });
  await logIn(dry.page, ADMIN_TOKEN);
  await dry.page.getByRole('button', { name: 'Cleanup now' }).click();
  await dry.page.getByRole('button', { name: 'Clean up now' }).waitFor();
  await dry.page.screenshot({ path: join(folder, 'dry-run.png') });
  await dry.page.getByRole('button', { name: 'Cancel' }).click();
  await stages.dry.stop();
  await dry.page.getByText('Reconnecting').waitFor();
  await dry.page.screenshot({ path: join(folder, 'server-gone.png') });
  await dry.close();
}

async function settled(page: Page): Promise<void> {
  await page.getByText('Live', { exact: true }).waitFor();
  await page.locator('.u-wrap').nth(1).waitFor();
  await page.locator('.loops tbody tr').first().waitFor();
  await page.locator('.sandboxes tbody tr').nth(3).waitFor();
}

/** Six hours of a training: it fills up, is full for a while, and empties again. */
function someHours() {
  const now = Math.floor(Date.now() / 1_000);
  const at = Array.from({ length: 1_440 }, (_, index) => now - (1_440 - index) * 15);
  const load = at.map((_, index) => Math.max(0, Math.sin((index / 1_440) * Math.PI * 1.25 - 0.2)));
  const wobble = (index: number) => Math.abs(Math.sin(index / 7) * Math.cos(index / 23));
  const allocated = load.map((part, index) => Math.round(part * 170 + wobble(index) * 6));
  const pending = load.map((part, index) => Math.round(part * 12 + ((index % 20) / 20) * 9));
  return {
    since: now - 6 * 86_400,
    interval_seconds: 15,
    kept_seconds: 21_600,
    at,
    available: allocated.map((count, index) => 236 - count - (pending[index] ?? 0)),
    allocated,
    pending_deletion: pending,
    deletion_failed: at.map((_, index) => (index > 900 ? 4 : 0)),
    stale: at.map(() => 0),
    quarantined: at.map(() => 0),
    leases_per_minute: load.map((part, index) => Math.round(part * 26 * wobble(index) * 10) / 10),
    refusals_per_minute: load.map((part, index) => (part > 0.97 ? Math.round(wobble(index) * 90) / 10 : 0)),
    p95_ms: load.map((part, index) => (part < 0.05 ? null : 9 + part * 14 + wobble(index) * 6)),
  };
}
