import { expect, it } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { exchangeProblems } from './judge-answer.ts';
import { exchange } from './raw-http.ts';

const ADMIN = 'dev-admin-token';
const TRACK = 'dev-track-token';

/** A body in which the prototype of everything would get a field that means something to somebody. */
const BODIES = [
  '{"__proto__":{"polluted":true,"force":true,"max_actions":0}}',
  '{"\\u005f_proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"type":"sync","options":{"__proto__":{"polluted":true,"force":true}}}',
  '{"type":"sync","options":{"constructor":{"prototype":{"polluted":true}}}}',
  '{"type":"sync","__proto__":{"polluted":true}}',
  '{"max_actions":5,"__proto__":{"polluted":true,"window_seconds":1}}',
  '{"state":"open","duration_seconds":5,"__proto__":{"polluted":true}}',
  '[{"__proto__":{"polluted":true}}]',
  '{"prototype":{"polluted":true}}',
];
const QUERIES = [
  '__proto__=polluted',
  '__proto__[polluted]=true',
  '__proto__.polluted=true',
  '__proto__[]=polluted',
  'constructor[prototype][polluted]=true',
  'constructor.prototype.polluted=true',
  '%5f%5fproto%5f%5f[polluted]=true',
  '__proto__=1&__proto__=2',
];

describeOnFastEngine('a name that every object has', ({ endpoint }) => {
  it('in a body or a query is refused, and changes neither objects nor settings', async () => {
    let url = '';
    const here = await startBrokerHere(endpoint, {}, (broker) => {
      const { start } = broker;
      broker.start = async () => {
        const started = await start();
        ({ url } = started);
        return started;
      };
    });
    const settings = async () =>
      // Without the count of calls, which this test adds to.
      JSON.stringify(
        await Promise.all(
          ['/v1/admin/governor', '/v1/admin/breakers', '/v1/admin/jobs', '/v1/admin/dry-run/log'].map(
            async (path) => (await here.asAdmin('GET', path)).json,
          ),
        ),
      ).replaceAll(/"current_actions":\d+/g, '');
    const send = (method: string, path: string, body?: string) =>
      exchange(Number(new URL(url).port), {
        parts: [
          [
            `${method} ${path} HTTP/1.1`,
            'Host: broker',
            'Connection: close',
            `Authorization: Bearer ${path.startsWith('/v1/admin') ? ADMIN : TRACK}`,
            'X-Track-ID: holder-1',
            '__proto__: polluted',
            ...(body === undefined
              ? []
              : ['Content-Type: application/json', `Content-Length: ${body.length}`]),
            '',
            body ?? '',
          ].join('\r\n'),
        ],
      });
    const before = Object.getOwnPropertyNames(Object.prototype);
    const settingsBefore = await settings();

    const writes: [string, string][] = [
      ['POST', '/v1/allocate'],
      ['POST', '/v1/admin/jobs'],
      ['POST', '/v1/admin/sync'],
      ['PUT', '/v1/admin/governor/csp_delete'],
      ['POST', '/v1/admin/breakers/csp_list/override'],
    ];
    for (const [method, path] of writes) {
      for (const body of BODIES) {
        const given = await send(method, path, body);
        expect(exchangeProblems(given)).toEqual([]);
        expect([path, body, given.answers[0]?.status]).toEqual([path, body, 400]);
      }
    }
    const reads = ['/v1/admin/sandboxes', '/v1/admin/jobs', '/v1/admin/alerts', '/v1/admin/stats'];
    for (const path of reads) {
      for (const query of QUERIES) {
        const given = await send('GET', `${path}?${query}`);
        expect(exchangeProblems(given)).toEqual([]);
        expect([path, query, given.answers[0]?.status]).toEqual([path, query, 400]);
      }
    }

    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect({}).not.toHaveProperty('polluted');
    expect([]).not.toHaveProperty('polluted');
    expect(await settings()).toBe(settingsBefore);
    expect((await here.asTrack('POST', '/v1/allocate', 'an-honest-lab')).status).toBe(201);
  });
});
