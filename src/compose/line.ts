import type { Clock, NewId } from '../clock.ts';
import type { LeaseRules } from '../domain/lease.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { createHandOvers } from '../store/line/hand-over.ts';
import { createLineStore } from '../store/line/line.ts';
import { findKey } from '../store/sandboxes/idempotency.ts';
import { idempotencyPk } from '../store/sandboxes/keys.ts';
import type { SandboxReads } from '../store/sandboxes/reads.ts';
import type { SandboxStore } from '../store/sandboxes/sandboxes.ts';
import type { SandboxChange } from '../store/sandboxes/watched-sandboxes.ts';
import { createForecast } from '../usecases/line/forecast.ts';
import { freeThroughLine, type PlaceEnding } from '../usecases/line/free-through-line.ts';
import { createLineView } from '../usecases/line/line-view.ts';
import { createPlaces } from '../usecases/line/places.ts';
import { createLineKeeper, type LineKeeper, type LineLook } from '../usecases/line/tend-line.ts';
import type { LineDeps } from '../usecases/line/wait-in-line.ts';
import { createWaiters } from '../usecases/line/waiters.ts';

export interface LineOptions {
  /** A lease that a place got waits for its caller so long, seconds. */
  claimSeconds: number;
  /** A place is kept so long after its caller's last call, seconds. */
  patienceSeconds: number;
  maxPlaces: number;
  /** A lease may be extended while somebody else waits for a sandbox like it. */
  extendWhileWaiting: boolean;
  /** How often leases that have run out are looked for, and cleanups begin, milliseconds. */
  expiryIntervalMs: number;
  cleanupIntervalMs: number;
  /** Fires when this process stops: whoever waits is told where it stands. */
  stopping: AbortSignal;
  /** A place has ended so, so many seconds after it was taken. */
  onEnded: (ending: PlaceEnding, seconds: number) => void;
  onLook: (look: LineLook) => void;
}

interface Parts {
  client: StoreClient;
  buckets: number;
  store: SandboxStore;
  reads: SandboxReads;
  clock: Clock;
  newId: NewId;
  terms: LeaseRules;
  cooldownMs: number;
  onUnreadable: (sortKey: unknown, error: unknown) => void;
  /** A sandbox has changed. */
  onChange: (change: SandboxChange) => void;
  onError: (error: unknown) => void;
}

/** The line, and the store by which whatever becomes free goes to who waits in it. */
export function composeLine(options: LineOptions, parts: Parts) {
  const { client, clock } = parts;
  const line = createLineStore(client, parts.onUnreadable);
  const view = createLineView(line, (look) => waiters.onLook(look));
  const waiters = createWaiters(view, parts.onError);
  const forecast = createForecast({ ...options, ...parts });
  const onEnded: Parameters<typeof freeThroughLine>[0]['onEnded'] = (ending, place, nowMs) =>
    options.onEnded(ending, Math.max(0, nowMs - place.joinedAtMs) / 1000);
  let keeper: LineKeeper | undefined;
  const server = freeThroughLine({
    ...parts,
    line,
    handOvers: createHandOvers(client, parts.buckets, parts.newId),
    claimSeconds: options.claimSeconds,
    isHere: waiters.isHere,
    onServed(place, leased) {
      if (leased.lease.collectBy !== undefined) keeper?.toBeCollected(leased, place);
      view.gone(place.keyPk);
      waiters.call(place.keyPk);
    },
    onEnded,
    onHandOver(change) {
      parts.onChange(change);
      forecast.note(change);
    },
  });
  const lineDeps: LineDeps = {
    ...options,
    line,
    server,
    view,
    waiters,
    findKey: (pk, signal) => findKey(client, pk, signal),
    coming: forecast.coming,
    clock,
    onJoined: () => keeper?.wake(),
  };
  return {
    server,
    lineDeps,
    /** This replica has changed a sandbox by other means than the line. */
    noteChange: forecast.note,
    places: createPlaces({ ...lineDeps, store: parts.store, server, keyPk: idempotencyPk, onEnded }),
    /** What looks after the line, once there is a list of free sandboxes. */
    createKeeper(
      more: Pick<Parameters<typeof createLineKeeper>[0], 'readyList' | 'hasOlder' | 'departures'>,
    ): LineKeeper {
      keeper = createLineKeeper({ ...options, ...parts, line, view, server, ...more, onEnded });
      return keeper;
    },
  };
}
