import { expect, test, vi } from 'vitest';
import { PROCESS_TIMES, startBroker } from '../../support/broker/broker-process.ts';
import { temporaryFolder } from '../../support/temp-folder.ts';

vi.setConfig(PROCESS_TIMES);

/** Of a terminal as it opens. */
const SCREEN_LINES = 24;

test('the log of a start fits a screen, and ends with where everything is', async () => {
  const env = { SANDBOX_MAX_WORKRES: '4', sync_interval_sec: '60', CLEANUP_CONCURRENCY: '7' };
  const broker = await startBroker({ cwd: await temporaryFolder(), unconfigured: true, env });
  const end = broker.logs.findIndex(({ outcome, action }) => action === 'start' && outcome === 'success');
  const lines = broker.logs.slice(0, end + 1);
  expect(lines.length).toBeLessThanOrEqual(SCREEN_LINES);
  expect(lines[0]).toMatchObject({
    msg: 'starting',
    config: { port: 0, cleanupConcurrency: 7, misspelt: ['SANDBOX_MAX_WORKRES', 'sync_interval_sec'] },
  });
  expect(Object.keys(lines[0]?.['config'] as object)).toHaveLength(3);
  const warnings = lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
  expect(warnings).toContainEqual(
    expect.stringMatching(/^SANDBOX_MAX_WORKRES .* is SANDBOX_MAX_WORKERS meant/),
  );
  expect(warnings).toContainEqual(expect.stringMatching(/^sync_interval_sec .* is SYNC_INTERVAL_SEC meant/));
  const { msg = '' } = lines.at(-1) ?? {};
  const places = `API ${broker.url}/v1, console ${broker.url}/console, docs ${broker.url}/v1/docs`;
  expect(['ready', 'listening'].map((state) => `${state}: ${places}`)).toContain(msg);
  for (const path of ['/console', '/v1/docs'])
    expect((await broker.call('GET', path)).status).toBeLessThan(400);
});
