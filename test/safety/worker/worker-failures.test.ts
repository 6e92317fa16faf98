import { expect, test } from 'vitest';
import { BrokerError } from '../../../src/domain/errors.ts';
import { CLEANUP, EXPIRE, jobOf, PURGE, SYNC, startQueue } from '../../support/broker/jobs.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { failWith, injectFaults, timedOut } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { atOnce, RESULT, startWorker } from './worker-steps.ts';

describeOnFastEngine('the worker', ({ endpoint }) => {
  test('a job that throws fails alone', async () => {
    const queue = await startQueue(endpoint);
    const { submit, ended, reports } = startWorker(queue, async ({ type }) => {
      if (type === 'sync') throw new TypeError('a secret of the inside');
      if (type === 'cleanup')
        throw new BrokerError('PROVIDER_UNAVAILABLE', 'The provider could not be asked.');
      return RESULT;
    });
    const [unexpected, refused, sound] = [await submit(SYNC), await submit(CLEANUP), await submit(EXPIRE)];
    expect(await ended(unexpected)).toMatchObject({
      status: 'failed',
      error: { code: 'INTERNAL', message: 'Something went wrong inside the broker.' },
    });
    expect(await ended(refused)).toMatchObject({
      error: { code: 'PROVIDER_UNAVAILABLE', message: 'The provider could not be asked.' },
    });
    expect(await ended(sound)).toMatchObject({ status: 'completed' });
    const report = reports.find(({ job }) => job.id === unexpected);
    expect(report?.error).toBeInstanceOf(TypeError);
  });

  test('a run that is refused because another is under way is no failure: the job waits and tries again', async () => {
    const queue = await startQueue(endpoint);
    let refusals = 3;
    const { submit, ended, reports, worker } = startWorker(queue, async ({ type }) => {
      if (type === 'sync' && refusals-- > 0) throw new BrokerError('ALREADY_RUNNING', 'Under way.');
      return RESULT;
    });
    const waiting = await submit(SYNC);
    const behind = await submit(SYNC);
    const other = await submit(PURGE);
    // One that waits holds up nobody else's work, and is not overtaken by its own kind.
    await ended(other);
    for (const seconds of [0.25, 0.5, 1]) {
      await until(() => reports.filter(({ outcome }) => outcome === 'postponed').length >= 1, {
        what: 'it was postponed',
      });
      expect(await jobOf(queue, behind)).toMatchObject({ status: 'pending', attempts: 0 });
      reports.splice(0);
      queue.clock.advanceSeconds(seconds);
      worker.announce();
    }
    expect(await ended(waiting)).toMatchObject({ status: 'completed', attempts: 1, waits: 3 });
    await ended(behind);
  });

  test('a store that is away stops nothing for good', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    faults.next('Query', failWith(timedOut), { times: 8 });
    const { submit, ended, errors } = startWorker(queue, atOnce, { intervalMs: 50 });
    const id = await submit();
    expect(await ended(id)).toMatchObject({ status: 'completed' });
    expect(errors.length).toBeGreaterThan(0);
  });

  test('an end that cannot be written is no end: the job is run again', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    faults.next('TransactWriteItems', failWith(timedOut), { times: 4 });
    const { submit, ended, errors } = startWorker(queue, atOnce, { intervalMs: 20 });
    const id = await submit();
    await until(() => errors.length > 0, { what: 'the end was not written' });
    expect(await jobOf(queue, id)).toMatchObject({ status: 'running' });
    queue.clock.advanceSeconds(31);
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 2 });
  });
});
