import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type Clock, type NewId, systemClock } from '../../clock.ts';
import {
  type AlertFilter,
  newestFirst,
  passesFilter,
  type RaiseAlert,
  type RaisedAlert,
} from '../../domain/resilience/alert.ts';
import { currentCorrelation } from '../../telemetry/correlation.ts';
import { type Redact, redaction } from '../redacted.ts';

/** Is told about alerts, at once and in line: whatever takes time is put off. What it throws is nobody else's concern. */
export type AlertListener = (alert: RaisedAlert) => unknown;

/** This replica's alerts. */
export interface Alerts {
  raise: RaiseAlert;
  /** `task`: whose alerts; `*` for all. Gives back how to stop. */
  subscribe(task: string, listener: AlertListener): () => void;
  /** The newest `limit` (100) of the last 1,000 that this replica raised, the newest first. */
  recent(filter?: AlertFilter, limit?: number): RaisedAlert[];
}

export interface AlertsOptions {
  clock?: Clock;
  newId?: NewId;
  /** Who raises; the machine's name unless given. */
  replicaId?: string;
  redact?: Redact;
  /** The ids of the request or run that the caller belongs to; those of {@link currentCorrelation} unless given. */
  correlation?: () => { requestId: string; correlationId: string } | undefined;
  /** A listener that threw, or whose promise failed; a warning of the process unless taken. */
  onListenerError?: (error: unknown) => void;
}

const RING_SIZE = 1_000;
const DEFAULT_LIMIT = 100;
const MAX_NAME = 128;
/** Characters of JSON. */
const MAX_CONTEXT = 8_192;
/** Listeners may raise alerts themselves; one that always does would never come to an end. */
const MAX_NESTING = 4;

export function createAlerts(options: AlertsOptions = {}): Alerts {
  const { clock = systemClock, newId = randomUUID, replicaId = hostname(), redact = redaction() } = options;
  const { correlation = currentCorrelation, onListenerError = warn } = options;
  /** Once it is full, `next` is the place of the oldest. */
  const ring: RaisedAlert[] = [];
  let next = 0;
  const listeners = new Map<string, Set<AlertListener>>();
  let nesting = 0;

  function contextOf(context: Record<string, unknown>): Record<string, unknown> {
    const ids = correlation();
    return {
      ...bounded(context, redact),
      ...(ids && { request_id: ids.requestId, correlation_id: ids.correlationId }),
    };
  }

  function tell(alert: RaisedAlert): void {
    // Copied: a listener may subscribe or stop while it is told.
    for (const listener of [...(listeners.get(alert.task) ?? []), ...(listeners.get('*') ?? [])]) {
      try {
        const result = listener(alert);
        if (result instanceof Promise) result.catch(report);
      } catch (error) {
        report(error);
      }
    }
  }

  function report(error: unknown): void {
    try {
      onListenerError(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  return {
    raise({ task, reason, severity, context, atMs }) {
      const alert: RaisedAlert = {
        id: newId(),
        atMs: atMs ?? clock.nowMs(),
        task: task.slice(0, MAX_NAME),
        reason: reason.slice(0, MAX_NAME),
        severity,
        context: contextOf(context),
        replica: replicaId,
      };
      ring[next] = alert;
      next = (next + 1) % RING_SIZE;
      if (nesting >= MAX_NESTING) return;
      nesting++;
      tell(alert);
      nesting--;
    },
    subscribe(task, listener) {
      const known = listeners.get(task) ?? new Set();
      listeners.set(task, known.add(listener));
      return () => {
        known.delete(listener);
        if (known.size === 0 && listeners.get(task) === known) listeners.delete(task);
      };
    },
    recent: (filter = {}, limit = DEFAULT_LIMIT) =>
      ring
        .filter((alert) => passesFilter(alert, filter))
        .sort(newestFirst)
        .slice(0, limit),
  };
}

const warn = (error: unknown): void =>
  process.emitWarning(error instanceof Error ? error : String(error), { type: 'AlertListener' });

/** The context as plain JSON of bounded size; it may hold anything a caller has at hand. */
function bounded(context: Record<string, unknown>, redact: Redact): Record<string, unknown> {
  try {
    const redacted = redact(context);
    const json = JSON.stringify(redacted);
    if (json.length <= MAX_CONTEXT) return JSON.parse(json) as Record<string, unknown>;
    const flat = Object.entries(redacted).filter(([, value]) => typeof value !== 'object');
    return { ...(JSON.parse(JSON.stringify(Object.fromEntries(flat))) as object), context_cut: true };
  } catch {
    // A getter or a proxy that throws. The alert itself still counts.
    return { context_unreadable: true };
  }
}
