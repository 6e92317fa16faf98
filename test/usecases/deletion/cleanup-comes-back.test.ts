import { randomUUID } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import { whenRested } from '../../../src/loops/come-back.ts';
import { createLoop, type RunReport } from '../../../src/loops/loop.ts';
import { createHeartbeat } from '../../../src/safety/heartbeat/heartbeat.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { DOWN, OUTAGE, startGuarded } from './guarded-cleanup.ts';

const INTERVAL_S = 300;

type Started = Awaited<ReturnType<typeof startGuarded>>;

/**
 * The loop of cleanups, whose rests last as long as they are meant to by the fake clock, and no longer. `onRest` is told
 * how much time has passed since the first run.
 */
async function cleanUntil(
  { core, clock, breaker, records }: Started,
  isMeant: (at: number) => boolean,
  onRest: (passedS: number) => void,
) {
  const reports: RunReport[] = [];
  const begunAtMs = clock.nowMs();
  const passedS = () => (clock.nowMs() - begunAtMs) / 1000;
  const isDone = async () =>
    (await records()).every(({ status }, at) => !isMeant(at) || status === 'deleted');
  const { promise: done, resolve: end } = Promise.withResolvers<number>();
  const loop = createLoop(
    {
      turns: core.turns,
      clock,
      newId: randomUUID,
      heartbeat: createHeartbeat(),
      report: (report) => reports.push(report),
      alert: () => undefined,
      correlate: (_ids, work) => work(),
      async rest(ms, { signal }) {
        if (signal.aborted) return;
        if (await isDone()) {
          end(passedS());
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }
        clock.advanceSeconds(ms / 1000);
        onRest(passedS());
      },
    },
    {
      name: 'cleanup',
      action: 'background_cleanup',
      intervalMs: INTERVAL_S * 1000,
      options: {},
      comeBack: whenRested(breaker.restMs),
      work: async (_options, context, onProgress) => ({ ...(await core.work.cleanup(context, onProgress)) }),
    },
  );
  onTestFinished(() => loop.stop());
  loop.start();
  return { afterS: await done, runs: reports.filter(({ outcome }) => outcome !== 'skipped') };
}

const ALL = () => true;

describeOnEngines('a queue of deletes that has to rest', ({ endpoint }) => {
  it('by the word of the provider goes on when that is over, and not by the interval', async () => {
    const started = await startGuarded(endpoint, 8);
    const limit = { kind: 'respond', status: 429, headers: { 'retry-after': '30' } } as const;
    started.csp.faults.add('delete', limit, OUTAGE);
    const { afterS, runs } = await cleanUntil(started, ALL, () => started.csp.faults.clear());
    expect(afterS).toBeLessThan(31);
    expect(runs).toHaveLength(2);
  });

  it('because of an outage asks at the end of each rest, and is whole again with the first that goes well', async () => {
    const started = await startGuarded(endpoint, 8);
    started.csp.faults.add('delete', DOWN, OUTAGE);
    // Rests of 60 and 120 s; the outage is over by the second one's end.
    const { afterS, runs } = await cleanUntil(started, ALL, (passedS) => {
      if (passedS > 100) started.csp.faults.clear();
    });
    expect(afterS).toBeLessThan(182);
    expect(runs).toHaveLength(3);
    expect(started.parked).toEqual([]);
  });

  it('because of those that cannot be deleted keeps the others for one rest', async () => {
    const started = await startGuarded(endpoint, 24);
    for (const [at, uuid] of started.uuids.entries())
      if (at % 2 === 0) started.csp.faults.add('delete', DOWN, { ...OUTAGE, uuid });
    const { afterS } = await cleanUntil(
      started,
      (at) => at % 2 === 1,
      () => undefined,
    );
    const [first, ...others] = started.transitions;
    expect([first, others.find(({ to }) => to === 'closed')]).toMatchObject([
      { to: 'open', why: 'half_failing' },
      { from: 'half_open' },
    ]);
    expect(afterS).toBeLessThan(62);
  });
});
