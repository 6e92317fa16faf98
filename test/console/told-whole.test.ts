import { expect, it } from 'vitest';
import { withSample } from '../../src/console/page/broker/broker-state.ts';
import type { HistoryRecord } from '../../src/console/page/broker/records.ts';
import { toldWhole } from '../../src/console/page/broker/told-whole.ts';

/** A list that is asked for as a whole, and told of one by one; answers come when the test lets them. */
function startList() {
  const shown: string[][] = [];
  const errors: unknown[] = [];
  const asked: PromiseWithResolvers<string[]>[] = [];
  const page = new AbortController();
  const list = toldWhole<string[], string>({
    ask() {
      const question = Promise.withResolvers<string[]>();
      asked.push(question);
      return question.promise;
    },
    add: (whole, news) => [...whole.filter((each) => each !== news), news],
    onWhole: (whole) => shown.push(whole),
    onError: (error) => errors.push(error),
    signal: page.signal,
  });
  const settled = () => new Promise(setImmediate);
  return { list, shown, errors, asked, page, settled };
}

it('shows the answer to the last question, whichever comes last', async () => {
  const { list, shown, errors, asked, settled } = startList();
  list.load();
  list.load();
  asked[1]?.resolve(['new']);
  await settled();
  asked[0]?.resolve(['old']);
  await settled();
  expect(shown).toEqual([['new']]);
  list.load();
  list.load();
  asked[2]?.reject(new Error('of a question that is nobody’s'));
  asked[3]?.resolve(['newest']);
  await settled();
  expect([shown.at(-1), errors]).toEqual([['newest'], []]);
});

it('keeps what was told while an answer was under way that knows nothing of it', async () => {
  const { list, shown, asked, settled } = startList();
  list.tell('before anything is known');
  list.load();
  list.tell('b');
  asked[0]?.resolve(['a']);
  await settled();
  list.tell('c');
  list.load();
  list.tell('d');
  asked[1]?.resolve(['a', 'b', 'c']);
  await settled();
  list.tell('e');
  expect(shown).toEqual([
    ['a', 'b'],
    ['a', 'b', 'c'],
    ['a', 'b', 'c', 'd'],
    ['a', 'b', 'c', 'd'],
    ['a', 'b', 'c', 'd', 'e'],
  ]);
});

it('shows nothing any more once nobody looks', async () => {
  const { list, shown, errors, asked, page, settled } = startList();
  list.load();
  page.abort();
  asked[0]?.reject(new Error('late'));
  await settled();
  expect([shown, errors]).toEqual([[], []]);
});

it('takes a sample of the history once', () => {
  const sample = (at: number) => ({
    at: [at],
    available: [at],
    allocated: [0],
    pending_deletion: [0],
    deletion_failed: [0],
    stale: [0],
    cooling: [0],
    quarantined: [0],
    leases_per_minute: [0],
    refusals_per_minute: [0],
    p95_ms: [null],
  });
  const history: HistoryRecord = { since: 0, interval_seconds: 15, kept_seconds: 60, ...sample(15) };
  const twice = [15, 30, 30].reduce((whole, at) => withSample(whole, sample(at)), history);
  expect(twice.at).toEqual([15, 30]);
  // From a replica of before, while a new version rolls out.
  const { refusals_per_minute: _unknown, ...older } = history;
  const grown = withSample(older as HistoryRecord, sample(30));
  expect(grown.refusals_per_minute).toEqual([null, 0]);
});
