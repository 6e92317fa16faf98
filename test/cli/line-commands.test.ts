import { describe, expect, test } from 'vitest';
import type { Line } from '../../src/api/types/line.ts';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { cli, cliJson, hasTerminals, startCli } from './run-cli.ts';

const WITHIN = { timeout: 20_000 };

describeOnFastEngine('the line from a shell', ({ endpoint }) => {
  /** A broker whose only sandbox ada has. */
  async function startFull() {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const env = { BROKER_URL: here.url };
    const only = await here.asTrack('POST', '/v1/allocate', 'ada');
    return { here, env, only: String(only.json['sandbox_id']) };
  }

  const waitingAt = async (here: BrokerHere) => (await here.asAdmin('GET', '/v1/admin/line')).json['waiting'];

  test('is listed; a place is taken away by what the list shows of its ticket', async () => {
    const { here, env } = await startFull();
    expect((await cli(['line'], { env })).stdout).toBe('Nobody waits.\n');
    const bob = startCli(['allocate', '--holder', 'bob', '--lab', 'intro', '--wait', '10m'], { env });
    await expect.poll(() => waitingAt(here), WITHIN).toBe(1);
    const [shown, listed] = await Promise.all([cli(['line'], { env }), cliJson(['line'], { env })]);
    expect(listed.result).toMatchObject({ waiting: 1, places: [{ holder: 'bob', position: 1 }] });
    const [columns = '', first = ''] = shown.stdout.split('\n');
    expect(columns).toMatch(/^PLACE +HOLDER +LAB .* TICKET$/);
    expect(first).toMatch(/^1 +bob +intro .* 9-\d{13}$/);
    const [unknown, removed] = [
      await cli(['line', 'remove', '9-0000000009999'], { env }),
      await cli(['line', 'remove', first.slice(-15)], { env }),
    ];
    expect(unknown).toMatchObject({ code: 3, stderr: expect.stringContaining('9-0000000009999') });
    expect(removed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^status +left$/m) });
    // It joins anew, behind whoever came meanwhile.
    const ticketOf = async () => (await cliJson<Line>(['line'], { env })).result.places[0]?.ticket_id;
    await expect.poll(ticketOf, WITHIN).toMatch(/^9-/);
    bob.signal('SIGINT');
    await bob.says(/Left the line/);
    expect(await bob.ended).toBe(1);
    await expect.poll(() => waitingAt(here), WITHIN).toBe(0);
  });

  test('who waits gets the next sandbox as JSON, and who has waited long enough is refused', async () => {
    const { here, env, only } = await startFull();
    expect(await cli(['allocate', '--holder', 'cyd', '--wait', '1s'], { env })).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringContaining('place 1 of 1'),
    });
    const bob = cliJson(['allocate', '--holder', 'bob', '--wait', '--priority', '3'], { env });
    await expect.poll(() => waitingAt(here), WITHIN).toBe(1);
    await here.asTrack('POST', `/v1/sandboxes/${only}/mark-for-deletion`, 'ada');
    await here.asAdmin('POST', '/v1/admin/cleanup');
    expect(await bob).toMatchObject({ code: 0, stderr: '', result: { sandbox_id: only, holder: 'bob' } });
  });

  describe.skipIf(!hasTerminals)(`on a terminal${hasTerminals ? '' : ' (skipped: no script)'}`, () => {
    test('its place and what is expected are shown, and Ctrl-C leaves the line', async () => {
      const { here, env } = await startFull();
      const command = ['allocate', '--holder', 'bob', '--wait', '10m'];
      const bob = startCli(command, { env, terminal: true });
      await bob.says(/waiting: place 1 of 1, about \d/);
      bob.type('\u0003');
      await bob.says(/Left the line/);
      expect(await bob.ended).not.toBe(0);
      await expect.poll(() => waitingAt(here), WITHIN).toBe(0);
    });
  });
});
