import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { startApp } from '../support/broker/http-app.ts';
import { listenForTest } from '../support/listen.ts';
import { ENDURANCE_BOUNDS, type EnduranceSample, judgeEndurance, slope } from './endurance-judges.ts';
import { readProcess, takeSample } from './endurance-samples.ts';

const SAMPLES = 180;
const EVERY_MS = 5_000;

/** A quarter of an hour as it should be: a collector that saws between two lines, and work that goes on. */
function soundRun(
  change: (sample: EnduranceSample, part: number, index: number) => Partial<EnduranceSample> = () => ({}),
) {
  return Array.from({ length: SAMPLES }, (_, index): EnduranceSample => {
    const sample: EnduranceSample = {
      atMs: (index + 1) * EVERY_MS,
      residentMiB: 200 + 15 * Math.sin(index),
      heapUsedMiB: 60 + (20 * ((index * 7) % 11)) / 11,
      stallMs: 20 + (index % 9) * 10,
      handles: 40 + (index % 3),
      sockets: 100 + (index % 2),
      errors: 0,
      cycles: (index + 1) * 2_000,
    };
    return { ...sample, ...change(sample, index / SAMPLES, index) };
  });
}

const broken = (samples: EnduranceSample[]): string[] =>
  judgeEndurance(samples)
    .filter(({ holds }) => !holds)
    .map(({ rule }) => rule);

describe('the judges of endurance', () => {
  test('find nothing wrong with a run that saws up and down', () => {
    expect(broken(soundRun())).toEqual([]);
  });

  test('do not take the warm-up for growth', () => {
    const run = soundRun(({ residentMiB }, part) => ({
      residentMiB: part < 0.2 ? 50 + 700 * part : residentMiB,
    }));
    expect(broken(run)).toEqual([]);
  });

  test.each<[string, Parameters<typeof soundRun>[0], string]>([
    [
      'memory that creeps up',
      ({ residentMiB }, part) => ({ residentMiB: residentMiB + 40 * part }),
      'resident memory is flat',
    ],
    [
      'a heap that creeps up',
      ({ heapUsedMiB }, part) => ({ heapUsedMiB: heapUsedMiB + 30 * part }),
      'the heap is flat',
    ],
    [
      'one stall',
      (_, __, index) => (index === 120 ? { stallMs: ENDURANCE_BOUNDS.stallMs + 1 } : {}),
      'the event loop never stalls',
    ],
    [
      'handles that pile up',
      ({ handles }, part) => ({ handles: handles + Math.round(20 * part) }),
      'handles do not pile up',
    ],
    [
      'sockets that pile up',
      ({ sockets }, part) => ({ sockets: sockets + Math.round(20 * part) }),
      'sockets do not pile up',
    ],
    [
      'a single error at the end',
      (_, __, index) => (index === SAMPLES - 1 ? { errors: 1 } : {}),
      'nothing fails',
    ],
    ['an error during the warm-up', () => ({ errors: 1 }), 'nothing fails'],
    ['a standstill', (_, part) => (part > 0.9 ? { cycles: 1 } : {}), 'the work goes on'],
  ])('find %s, and nothing else', (_name, change, rule) => {
    expect(broken(soundRun(change))).toEqual([rule]);
  });

  test('let a sawtooth whose last tooth is the highest pass, and memory that shrinks', () => {
    expect(
      broken(
        soundRun(({ residentMiB }, _, index) => ({ residentMiB: residentMiB + (index > 176 ? 60 : 0) })),
      ),
    ).toEqual([]);
    expect(broken(soundRun(({ residentMiB }, part) => ({ residentMiB: residentMiB - 80 * part })))).toEqual(
      [],
    );
  });

  test('do not call a run sound of which they know too little', () => {
    expect(broken([])).toEqual(['there is something to judge']);
    expect(broken(soundRun().slice(0, 5))).toEqual(['there is something to judge']);
  });

  test('draw a line through points by least squares', () => {
    expect(slope([0, 1, 2, 3].map((x) => ({ x, y: 5 + 2 * x })))).toBeCloseTo(2);
    expect(slope([1, 1].map((x) => ({ x, y: x })))).toBe(0);
    expect(slope([])).toBe(0);
  });
});

describe('a sample', () => {
  const METRICS = [
    'process_resident_memory_bytes 104857600',
    'nodejs_heap_size_used_bytes 52428800',
    'nodejs_eventloop_lag_max_seconds 0.25',
    'nodejs_active_handles_total 12',
    'broker_sync_total{outcome="error"} 2',
    'broker_sync_total{outcome="success"} 7',
    'broker_store_calls_total{operation="Query",outcome="error"} 3',
    'broker_allocation_latency_seconds_count{outcome="error"} 9',
    'http_requests_total{method="POST",endpoint="/v1/allocate",status="503"} 4',
    'http_requests_total{method="POST",endpoint="/v1/allocate",status="409"} 5',
  ].join('\n');

  test('is read from the metrics, every error counted once', () => {
    expect(readProcess(METRICS)).toEqual({
      residentMiB: 100,
      heapUsedMiB: 50,
      stallMs: 250,
      handles: 12,
      errors: 9,
    });
  });

  test('without a figure is none', () => {
    expect(() => readProcess(METRICS.replace('nodejs_active_handles_total 12', ''))).toThrow(
      'nodejs_active_handles_total',
    );
  });

  test('of a process counts the sockets that it has, as the system shows them', async () => {
    const broker = { url: await metricsServer(), pid: process.pid };
    const before = await takeSample(broker);
    const { connect } = await startApp();
    for (let more = 0; more < 20; more++) await connect();
    // Both ends of each connection are here.
    expect((await takeSample(broker)).sockets - before.sockets).toBeGreaterThanOrEqual(20);
    expect(before).toMatchObject({ residentMiB: 100, errors: 9 });
  });

  async function metricsServer(): Promise<string> {
    const server = createServer((_request, response) => response.end(METRICS));
    return listenForTest(server);
  }
});
