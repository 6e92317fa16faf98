import { afterEach, describe, expect, test, vi } from 'vitest';
import { BrokerError, createBroker } from '../../src/client/index.ts';
import { keepAlive } from '../../src/client/keep-alive.ts';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

const HOUR_S = 3_600;
const HOUR_MS = HOUR_S * 1000;
const OVER = new BrokerError('LEASE_OVER', 'over', { status: 409, attempts: 1 });
const AWAY = new BrokerError('UNREACHABLE', 'away', { attempts: 3 });

/** A lease of an hour that may last for three, and what was asked of the broker for it. */
function lease({ heartbeatSeconds, replayed = false }: { heartbeatSeconds?: number; replayed?: boolean }) {
  const asked = { beats: 0, extensions: 0 };
  const failures: Error[] = [];
  const held = {
    sandbox_id: 'sbx-1',
    name: 'lab-1',
    external_id: 'ext/1',
    lease_id: 'lease-1',
    allocated_at: 0,
    expires_at: HOUR_S,
    heartbeat_seconds: heartbeatSeconds,
    replayed,
    async extend(seconds: number) {
      asked.extensions++;
      const failure = failures.shift();
      if (failure) throw failure;
      held.expires_at = Math.min(performance.now() / 1000 + seconds, 3 * HOUR_S);
      return held;
    },
    async heartbeat() {
      asked.beats++;
      const failure = failures.shift();
      if (failure) throw failure;
      return held;
    },
  };
  return { held, asked, failures };
}

describe('a lease that is kept', () => {
  afterEach(() => void vi.useRealTimers());
  const at = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test('is extended whenever half of its time is over, until there is no more to be had', async () => {
    vi.useFakeTimers({ now: 0 });
    const { held, asked } = lease({});
    const { lost } = keepAlive(held, 0);
    await at(HOUR_MS / 2 - 1);
    expect(asked.extensions).toBe(0);
    await at(1);
    expect([asked.extensions, held.expires_at]).toEqual([1, 1.5 * HOUR_S]);
    await at(10 * HOUR_MS);
    expect(held.expires_at).toBe(3 * HOUR_S);
    // The one that brought nothing was the last.
    expect(asked).toEqual({ beats: 0, extensions: 5 });
    expect(lost.aborted).toBe(false);
  });

  test('a replayed one is extended at once: nobody knows how much of it is left', async () => {
    vi.useFakeTimers({ now: 0 });
    const { held, asked } = lease({ replayed: true });
    keepAlive(held, 0);
    await at(0);
    expect(asked.extensions).toBe(1);
  });

  test('is beaten for three times as often as was promised, also after calls that did not work', async () => {
    vi.useFakeTimers({ now: 0 });
    const { held, asked, failures } = lease({ heartbeatSeconds: 60 });
    const kept = keepAlive(held, 0);
    await at(20_000 * 3);
    expect(asked.beats).toBe(4);
    failures.push(AWAY);
    await at(20_000);
    expect(asked.beats).toBe(5);
    await at(5_000);
    expect(asked.beats).toBe(6);
    kept.stop();
    await at(HOUR_MS);
    expect(asked).toEqual({ beats: 6, extensions: 0 });
    expect(kept.lost.aborted).toBe(false);
  });

  test('is told as lost once the broker says so, with its refusal, and nothing more is asked', async () => {
    vi.useFakeTimers({ now: 0 });
    const { held, asked, failures } = lease({ heartbeatSeconds: 60 });
    const { lost } = keepAlive(held, 0);
    failures.push(OVER);
    await at(HOUR_MS);
    expect(lost.reason).toBe(OVER);
    expect(asked).toEqual({ beats: 1, extensions: 0 });
  });
});

describeOnFastEngine('a lease in hand', ({ endpoint }) => {
  const clientOf = ({ url }: { url: string }) =>
    createBroker({ url, token: 'dev-track-token', holder: 'student-1' });

  test('is extended and heard of, and has the times of the last answer', async () => {
    const broker = clientOf(await startBrokerHere(endpoint));
    const lease = await broker.allocate({ durationSeconds: 600, heartbeatSeconds: 60 });
    expect(lease).toMatchObject({
      expires_at: lease.allocated_at + 600,
      heartbeat_seconds: 60,
      heartbeat_by: lease.allocated_at + 60,
    });
    const extended = await lease.extend(3_600);
    expect(lease.expires_at).toBe(extended.expires_at);
    expect(extended.expires_at).toBeGreaterThanOrEqual(lease.allocated_at + 3_600);
    expect((await lease.heartbeat()).heartbeat_by).toBeGreaterThanOrEqual(lease.allocated_at + 60);
    await lease.release();
    await expect(lease.extend(60)).rejects.toMatchObject({ code: 'LEASE_OVER' });
    await expect(broker.heartbeat(lease.sandbox_id)).rejects.toMatchObject({ code: 'LEASE_OVER' });
  });

  test('is kept in the background for as long as its scope lasts', async () => {
    const here = await startBrokerHere(endpoint);
    const broker = clientOf(here);
    let id: string;
    {
      // Ends are whole seconds: half of two may be none.
      await using lease = await broker.allocate({ durationSeconds: 4 });
      id = lease.sandbox_id;
      const { lost } = lease.keepAlive();
      const granted = lease.expires_at;
      await expect.poll(() => lease.expires_at, { timeout: 10_000 }).toBeGreaterThan(granted);
      expect(lost.aborted).toBe(false);
    }
    await expect(broker.get(id)).resolves.toMatchObject({ status: 'pending_deletion' });
  });

  test('that an operator has taken back is lost', async () => {
    const here = await startBrokerHere(endpoint);
    await using lease = await clientOf(here).allocate({ heartbeatSeconds: 60 });
    await here.asAdmin('POST', `/v1/admin/sandboxes/${lease.sandbox_id}/release`);
    const { lost } = lease.keepAlive();
    await expect.poll(() => lost.aborted).toBe(true);
    expect(lost.reason).toMatchObject({ code: 'LEASE_OVER' });
  });
});
