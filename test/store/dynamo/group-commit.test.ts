import { expect, test } from 'vitest';
import { EverybodyFails, farSide, settled } from './far-side.ts';

test('sends each piece at once and alone while there are few', async () => {
  const { add, ids, succeed } = farSide();
  const [a, b] = [add('a'), add('b')];
  expect(ids()).toEqual([['a'], ['b']]);
  succeed(0);
  succeed(1);
  expect(await Promise.all([a, b])).toEqual(['done a', 'done b']);
});

test('sends those together who had to wait, in their order, up to the size of a call', async () => {
  const { add, ids, succeed } = farSide();
  const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id) => add(id));
  succeed(0);
  await settled();
  expect(ids()).toEqual([['a'], ['b'], ['c', 'd', 'e', 'f']]);
  succeed(1);
  await settled();
  expect(ids().slice(3)).toEqual([['g']]);
  succeed(2);
  succeed(3);
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id) => `done ${id}`));
});

test('never sends two pieces in one call that touch the same', async () => {
  const { add, ids, succeed } = farSide({ calls: 1 });
  for (const id of ['a', 'b', 'c']) void add(id, { touches: 'same' });
  void add('d');
  succeed(0);
  await settled();
  succeed(1);
  await settled();
  expect(ids()).toEqual([['a'], ['b', 'd'], ['c']]);
});

test('tells those whose fate was decided, and sends the others again in the same turn', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1 });
  const all = ['a', 'b', 'c', 'd'].map((id) => add(id));
  succeed(0);
  await settled();
  sent[1]?.answer(['again', { result: 'lost' }, 'again']);
  await settled();
  expect(await all[2]).toBe('lost');
  expect(ids()).toEqual([['a'], ['b', 'c', 'd'], ['b', 'd']]);
  succeed(2);
  expect([await all[1], await all[3]]).toEqual(['done b', 'done d']);
});

test('makes calls smaller when they are refused, and larger again when they are not', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1, size: 8 });
  for (let i = 0; i < 40; i++) void add(`p${i}`);
  const sizes = () => ids().map((group) => group.length);
  succeed(0);
  await settled();
  sent[1]?.answer([{ result: 'lost' }, ...Array.from({ length: 7 }, () => 'again' as const)]);
  await settled();
  sent[2]?.answer([{ result: 'lost' }, ...Array.from({ length: 6 }, () => 'again' as const)]);
  await settled();
  succeed(3);
  await settled();
  expect(sizes()).toEqual([1, 8, 7, 6, 4]);
  succeed(4);
  await settled();
  expect(sizes().at(-1)).toBe(8);
});

test('keeps the size when every piece got an answer, whatever it was', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1, size: 4 });
  for (let i = 0; i < 9; i++) void add(`p${i}`);
  succeed(0);
  await settled();
  sent[1]?.answer(Array.from({ length: 4 }, () => ({ result: 'replay' })));
  await settled();
  expect(ids().map((group) => group.length)).toEqual([1, 4, 4]);
});

test('asks for each alone when a call as a whole goes wrong, so that one piece fails nobody but itself', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1 });
  const all = ['a', 'b', 'c'].map((id) => add(id));
  succeed(0);
  await settled();
  sent[1]?.answer(new Error('one of them is poison'));
  await settled();
  expect(ids().slice(2)).toEqual([['b'], ['c']]);
  sent[2]?.answer(new Error('poison'));
  succeed(3);
  await expect(all[1]).rejects.toThrow('poison');
  expect(await all[2]).toBe('done c');
});

test('tells all of a call at once of what would happen to each', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1 });
  const all = ['a', 'b', 'c'].map((id) => add(id));
  succeed(0);
  await settled();
  sent[1]?.answer(new EverybodyFails('out of reach'));
  await expect(all[1]).rejects.toThrow('out of reach');
  await expect(all[2]).rejects.toThrow('out of reach');
  expect(ids()).toHaveLength(2);
});

test('sends those for whom there was no room again later, before all who wait, and the others at once', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1 });
  const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => add(id));
  succeed(0);
  await settled();
  sent[1]?.answer(['later', 'again', 'later', 'again']);
  await settled();
  succeed(2);
  await settled();
  succeed(3);
  await settled();
  succeed(4);
  expect(ids()).toEqual([['a'], ['b', 'c', 'd', 'e'], ['c', 'e'], ['b', 'd', 'f']]);
  expect(await Promise.all(all)).toHaveLength(6);
});

test('holds pieces back for as long as they may not be sent, and sends the others', async () => {
  const { add, ids, succeed, readiness } = farSide();
  readiness.set('held', { waitMs: 5 });
  const held = add('held');
  const free = add('a');
  succeed(0);
  await free;
  expect(ids()).toEqual([['a']]);
  readiness.delete('held');
  await expect.poll(ids).toEqual([['a'], ['held']]);
  succeed(1);
  expect(await held).toBe('done held');
});

test('never sends a piece that has its result before its turn comes', async () => {
  const { add, ids, succeed, readiness } = farSide({ calls: 1 });
  void add('a');
  const moved = add('b');
  readiness.set('b', { result: 'elsewhere' });
  succeed(0);
  expect(await moved).toBe('elsewhere');
  expect(ids()).toEqual([['a']]);
});

test('has half as many calls of half the size under way after one went wrong as a whole, and grows again', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 4, size: 8 });
  const all = Array.from({ length: 60 }, (_, i) => add(`p${i}`));
  for (const piece of all) piece.catch(() => undefined);
  expect(ids()).toHaveLength(4);
  sent[0]?.answer(new EverybodyFails('no answer in time'));
  await settled();
  // Three are under way, and two may be.
  expect(ids()).toHaveLength(4);
  sent[1]?.answer(new EverybodyFails('no answer in time'));
  sent[2]?.answer(new EverybodyFails('no answer in time'));
  await settled();
  expect(ids()).toHaveLength(4);
  succeed(3);
  await settled();
  const sizes = () => ids().map((group) => group.length);
  expect(sizes()).toEqual([1, 1, 1, 1, 2, 2]);
  succeed(4);
  await settled();
  expect(sizes().slice(6)).toEqual([4, 4]);
});

test('never sends a piece that was given up while it waited', async () => {
  const { add, ids, succeed } = farSide({ calls: 1 });
  const hurry = new AbortController();
  void add('a');
  const b = add('b', { signal: hurry.signal });
  void add('c');
  hurry.abort(new Error('no time left'));
  await expect(b).rejects.toThrow('no time left');
  succeed(0);
  await settled();
  expect(ids()).toEqual([['a'], ['c']]);
  await expect(add('d', { signal: hurry.signal })).rejects.toThrow('no time left');
});

test('lets a shared call go on for those who still wait, and ends it with the last of them', async () => {
  const { add, sent, succeed } = farSide({ calls: 1 });
  const [one, other] = [new AbortController(), new AbortController()];
  void add('a');
  const b = add('b', { signal: one.signal });
  const c = add('c', { signal: other.signal });
  succeed(0);
  await settled();
  one.abort(new Error('b has no time'));
  await expect(b).rejects.toThrow('b has no time');
  expect(sent[1]?.signal.aborted).toBe(false);
  other.abort(new Error('c has no time'));
  await expect(c).rejects.toThrow('c has no time');
  expect(sent[1]?.signal.aborted).toBe(true);
});

test('does not send those again who gave up meanwhile, and frees its turn', async () => {
  const { add, ids, sent, succeed } = farSide({ calls: 1 });
  const hurry = new AbortController();
  void add('a');
  const b = add('b', { signal: hurry.signal });
  void add('c');
  succeed(0);
  await settled();
  hurry.abort(new Error('no time left'));
  await expect(b).rejects.toThrow();
  sent[1]?.answer(['again', { result: 'done' }]);
  await settled();
  void add('d');
  expect(ids()).toEqual([['a'], ['b', 'c'], ['d']]);
});
