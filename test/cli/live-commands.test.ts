import { expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { cli, hasTerminals, startCli } from './run-cli.ts';

describeOnFastEngine('what goes on until Ctrl-C', ({ endpoint }) => {
  test('watch tells each change in a line, and that nobody answers; then it goes on', async () => {
    const here = await startBrokerHere(endpoint);
    const { hostname, port } = new URL(here.url);
    const proxy = await startFaultProxy({ host: hostname, port: Number(port) });
    const watch = startCli(['watch', '--every', '1s'], { env: { BROKER_URL: proxy.endpoint } });
    await watch.says(/GO {2}available=5 allocated=0 .* total=5/);
    await proxy.behave({ kind: 'refuse' });
    proxy.cutConnections();
    await watch.says(/does not answer/);
    await here.asTrack('POST', '/v1/allocate', 'somebody');
    await here.asAdmin('POST', '/v1/admin/release?all=true');
    await proxy.behave({ kind: 'pass' });
    await watch.says(/available=4 .*pending_deletion=1/);
    watch.signal('SIGINT');
    expect(await watch.ended).toBe(0);
    await proxy.close();
  });

  test.skipIf(!hasTerminals)('watch draws one page on a terminal', async () => {
    const here = await startBrokerHere(endpoint);
    const watch = startCli(['watch', '--every', '1s'], { env: { BROKER_URL: here.url }, terminal: true });
    await watch.says(/verdict +\S*GO/);
    await watch.says(/available +\S*5[\s\S]*leases_per_minute +0/);
    watch.type('\u0003');
    expect(await watch.ended).toBe(0);
  });

  test('events follow sandboxes, jobs, alerts and the verdict, over a break of the connection', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const { hostname, port } = new URL(here.url);
    const proxy = await startFaultProxy({ host: hostname, port: Number(port) });
    const events = startCli(['events'], { env: { BROKER_URL: proxy.endpoint } });
    const only = startCli(['events', '--only', 'alert', '--json'], { env: { BROKER_URL: here.url } });
    await events.says(/verdict {2}GO/);
    await here.asTrack('POST', '/v1/allocate', 'student-1');
    await events.says(/Z {2}sandbox {2}lab-0001 {2}allocate {2}allocated {2}student-1 {2}by track /);
    await only.says(/^\{"kind":"alert","at":\d+,"data":\{.*"reason":"pool_empty".*\}\}\n/);
    await events.says(/alert {4}error {2}pool {2}pool_empty/);

    proxy.cutConnections();
    await events.says(/It is opened again/);
    await here.asAdmin('POST', '/v1/admin/release?all=true');
    await events.says(/lab-0001 {2}release {2}pending_deletion {2}student-1/);
    await here.asAdmin('POST', '/v1/admin/jobs', { type: 'cleanup' });
    await events.says(/job {6}cleanup {2}completed {2}(1 due, 1 recycled|1 recycled, 1 due) in \d/);
    for (const each of [events, only]) each.signal('SIGINT');
    expect(await Promise.all([events.ended, only.ended])).toEqual([0, 0]);
    await proxy.close();
  });

  test('a wrong token ends them at once, and so does nobody there at the start of events', async () => {
    const here = await startBrokerHere(endpoint);
    const env = { BROKER_URL: here.url, BROKER_ADMIN_TOKEN: 'some-wrong-token' };
    const [watch, events, nobody] = await Promise.all([
      cli(['watch'], { env }),
      cli(['events'], { env }),
      cli(['events', '--url', 'http://127.0.0.1:9', '--timeout', '1']),
    ]);
    expect([watch.code, events.code, nobody.code]).toEqual([3, 3, 4]);
  });
});
