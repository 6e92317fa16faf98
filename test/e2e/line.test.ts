import { expect, test } from 'vitest';
import type { BrokerProcess } from '../support/broker/broker-process.ts';
import { startReplicas } from '../support/broker/broker-replicas.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const CALLERS = 20;

describeOnFastEngine('a line over two replicas', ({ endpoint }) => {
  const wait = (broker: BrokerProcess | undefined, holder: string, seconds: number) =>
    broker?.allocate(holder, { prefer: `wait=${seconds}` });
  const waiting = (broker: BrokerProcess | undefined) => async () => {
    const samples = await broker?.metrics();
    return samples?.['broker_line_length'];
  };

  test('who waits at one that stops is told its place, and keeps it at the other', async () => {
    const [stopped, other] = await startReplicas({ endpoint, count: 2, poolSize: 1, inside: true });
    const only = await other?.allocate('ada');
    const holders = Array.from({ length: CALLERS }, (_, index) => `waits-${index}`);
    const calls = Promise.all(holders.map((holder) => wait(stopped, holder, 60)));
    await until(async () => (await waiting(stopped)()) === CALLERS, { timeoutMs: 20_000, what: 'a line' });
    await stopped?.stop();
    const answers = await calls;
    expect(new Set(answers.map((answer) => answer?.status))).toEqual(new Set([202]));
    expect(answers.map((answer) => answer?.json['position']).sort()).toEqual(
      holders.map((_, index) => index + 1).sort(),
    );

    const again = await Promise.all(holders.map((holder) => wait(other, holder, 0)));
    expect(again.map((answer) => answer?.json['ticket_id'])).toEqual(
      answers.map((answer) => answer?.json['ticket_id']),
    );
    const head = holders[again.findIndex((answer) => answer?.json['position'] === 1)] ?? '';
    const served = wait(other, head, 60);
    await other?.mark(String(only?.json.sandbox_id), 'ada');
    await other?.admin('POST', '/v1/admin/cleanup');
    expect((await served)?.json.sandbox_id).toBe(only?.json.sandbox_id);
  });
});
