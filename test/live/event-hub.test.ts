import type { Readable } from 'node:stream';
import { expect, it, onTestFinished } from 'vitest';
import { createEventHub, type EventHub, type EventHubOptions } from '../../src/live/event-hub.ts';
import { until } from '../support/until.ts';

function hubOfTest(options: Partial<EventHubOptions> = {}): EventHub {
  const hub = createEventHub({ name: 'here', ...options });
  onTestFinished(() => hub.close());
  return hub;
}

/** Opens a stream and reads it. */
function listen(hub: EventHub, lastEventId?: string) {
  const stream = hub.open([{ type: 'status', data: 'now' }], lastEventId);
  if (stream === undefined) throw new Error('the hub opens no stream');
  let text = '';
  let isOver = false;
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text += chunk;
  });
  stream.on('close', () => {
    isOver = true;
  });
  return {
    stream: stream as Readable,
    text: () => text,
    isOver: () => isOver,
    heard: (part: string) => until(() => text.includes(part), { what: `"${part}" in the stream` }),
  };
}

it('greets who comes, and tells everybody everything after that', async () => {
  const hub = hubOfTest();
  const [one, two] = [listen(hub), listen(hub)];
  hub.publish({ type: 'alert', data: { text: 'two\nlines' } });
  for (const each of [one, two]) {
    await each.heard('two');
    expect(each.text()).toBe(
      'id: here.0\nevent: hello\ndata: {"missed_nothing":true}\n\n' +
        'id: here.0\nevent: status\ndata: "now"\n\n' +
        'id: here.1\nevent: alert\ndata: {"text":"two\\nlines"}\n\n',
    );
  }
});

it('tells who comes back what was missed, and nothing twice', async () => {
  const hub = hubOfTest();
  hub.publish({ type: 'alert', data: 1 });
  hub.publish({ type: 'alert', data: 2 });
  hub.announce({ type: 'status', data: 'outdated' });
  hub.publish({ type: 'alert', data: 3 });
  const back = listen(hub, 'here.1');
  await back.heard('event: status');
  expect(back.text()).toContain('{"missed_nothing":true}');
  expect(back.text().match(/event: alert\ndata: (\d)/g)).toEqual([
    'event: alert\ndata: 2',
    'event: alert\ndata: 3',
  ]);
  expect(back.text()).not.toContain('outdated');
});

it.each([
  ['too long away', 'here.1'],
  ['known by another replica', 'there.4'],
  ['ahead of us', 'here.99'],
  ['no id at all', 'x'],
])('owns up to what it cannot know: %s', async (_name, lastEventId) => {
  const hub = hubOfTest({ keep: 2 });
  for (const data of [1, 2, 3, 4]) hub.publish({ type: 'alert', data });
  const back = listen(hub, lastEventId);
  await back.heard('event: status');
  expect(back.text()).toContain('{"missed_nothing":false}');
  expect(back.text()).not.toContain('event: alert');
});

it('has everything to tell as long as nothing was forgotten', async () => {
  const hub = hubOfTest({ keep: 2 });
  for (const data of [1, 2, 3, 4]) hub.publish({ type: 'alert', data });
  const back = listen(hub, 'here.2');
  await back.heard('data: 4');
  expect(back.text()).toContain('{"missed_nothing":true}');
});

it('drops who does not read, and goes on for the others', async () => {
  const hub = hubOfTest({ maxUnreadBytes: 10_000 });
  const asleep = hub.open([]);
  const awake = listen(hub);
  for (let event = 0; event < 100 && asleep?.destroyed === false; event++) {
    hub.publish({ type: 'alert', data: 'x'.repeat(500) });
    await awake.heard(`here.${event + 1}\n`);
  }
  expect(asleep?.destroyed).toBe(true);
  expect(asleep?.readableLength).toBeLessThan(11_000);
  await until(() => hub.size === 1, { what: 'the sleeper to be forgotten' });
  hub.publish({ type: 'alert', data: 'still here' });
  await awake.heard('still here');
});

it('opens so many streams and no more, until one goes', async () => {
  const hub = hubOfTest({ maxStreams: 2 });
  const first = listen(hub);
  listen(hub);
  expect(hub.open([])).toBeUndefined();
  first.stream.destroy();
  await until(() => hub.size === 1, { what: 'a stream to go' });
  listen(hub);
});

it('gives signs of life while there is nothing to tell', async () => {
  const hub = hubOfTest({ heartbeatMs: 10 });
  await listen(hub).heard(': alive\n\n: alive\n\n');
});

it('ends all streams with the broker, and opens none any more', async () => {
  const hub = hubOfTest();
  const one = listen(hub);
  hub.close();
  await until(one.isOver, { what: 'the end of the stream' });
  expect(hub.open([])).toBeUndefined();
  hub.publish({ type: 'alert', data: 'to nobody' });
});
