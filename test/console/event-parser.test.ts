import { expect, it } from 'vitest';
import { createEventParser, type ServerEvent } from '../../src/console/page/broker/event-parser.ts';

const TEXT =
  ': alive\n\nid: a.1\nevent: status\ndata: {"x":1}\n\nid: a.2\r\ndata:first\r\ndata: second\r\n\r\nevent: empty\n\nevent: cut\ndata: off';
const EVENTS = [
  { type: 'status', id: 'a.1', data: '{"x":1}' },
  { type: 'message', id: 'a.2', data: 'first\nsecond' },
];

it.each([1, 2, 3, 7, 1_000])('finds the events in pieces of %i', (size) => {
  const found: ServerEvent[] = [];
  const parse = createEventParser((event) => found.push(event));
  for (let start = 0; start < TEXT.length; start += size) parse(TEXT.slice(start, start + size));
  expect(found).toEqual(EVENTS);
});
