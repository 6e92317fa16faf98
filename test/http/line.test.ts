import { describe, expect, test } from 'vitest';
import { TICKET } from '../support/broker/fake-app-deps.ts';
import { asTrack, startApp } from '../support/broker/http-app.ts';

describe('waiting in line over HTTP', () => {
  test('who prefers to wait is told of its place, and when to ask again', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/allocate', { headers: asTrack({ prefer: 'wait=20' }) });
    expect(answer.status).toBe(202);
    expect(answer.json).toEqual({
      status: 'waiting',
      ticket_id: TICKET,
      position: 2,
      waiting: 3,
      eta_seconds: 60,
    });
    expect(answer.headers).toMatchObject({ 'retry-after': '1', 'preference-applied': 'wait=20' });
    expect(recorded.of('allocateInLine')[0]?.[1]).toMatchObject({ seconds: 20 });
  });

  test.for([
    ['respond-async, wait=7; x', 7],
    ['wait="3"', 3],
    ['wait=600', 60],
    ['WAIT = 0', 0],
  ] as const)('Prefer: %s', async ([prefer, seconds]) => {
    const { call, recorded } = await startApp();
    await call('POST', '/v1/allocate', { headers: asTrack({ prefer }) });
    expect(recorded.of('allocateInLine')[0]?.[1]).toMatchObject({ seconds, priority: 0 });
  });

  test('the body outweighs the preference, and has a priority', async () => {
    const { call, recorded } = await startApp();
    const body = JSON.stringify({ wait_seconds: 5, priority: 9 });
    const headers = asTrack({ prefer: 'wait=20', 'content-type': 'application/json' });
    const answer = await call('POST', '/v1/allocate', { headers, body });
    expect(recorded.of('allocateInLine')[0]?.[1]).toMatchObject({ seconds: 5, priority: 9 });
    expect(answer.headers).not.toHaveProperty('preference-applied');
  });

  test.for([{ wait_seconds: 61 }, { wait_seconds: '5' }, { priority: 10 }])('%j is refused', async (body) => {
    const { call } = await startApp();
    const headers = asTrack({ 'content-type': 'application/json' });
    const answer = await call('POST', '/v1/allocate', { headers, body: JSON.stringify(body) });
    expect(answer.status).toBe(400);
    expect(answer.json.error?.message).toContain(Object.keys(body)[0]);
  });

  test('without a wish to wait nothing is different', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/allocate', { headers: asTrack({ prefer: 'handling=strict' }) });
    expect(answer.status).toBe(201);
    expect(recorded.of('allocateInLine')).toEqual([]);
  });

  test('a ticket that is none is refused, and one that nobody has is not found', async () => {
    const { call } = await startApp();
    expect((await call('GET', '/v1/line/nonsense', { headers: asTrack() })).status).toBe(400);
    const unknown = TICKET.replace('1-', '2-');
    expect((await call('GET', `/v1/line/${unknown}`, { headers: asTrack() })).status).toBe(404);
    expect((await call('DELETE', '/v1/line', { headers: asTrack() })).json).toMatchObject({
      ticket_id: TICKET,
    });
    expect((await call('DELETE', `/v1/line/${TICKET}`, { headers: asTrack() })).json).toEqual({
      status: 'left',
      ticket_id: TICKET,
    });
  });
});
