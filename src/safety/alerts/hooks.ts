import type { EventEmitter } from 'node:events';
import type { AlertSeverity, RaisedAlert } from '../../domain/resilience/alert.ts';
import type { AlertListener } from './alerts.ts';

/** Where alerts can be listened to from outside, by the name `alert`. */
export type AlertEvents = EventEmitter<{ alert: [alert: RaisedAlert] }>;

type Write = (fields: Record<string, unknown>, message: string) => void;

const LEVELS = { info: 'info', warning: 'warn', error: 'error', critical: 'error' } as const satisfies Record<
  AlertSeverity,
  string
>;

/** Writes every alert into the log. What the context calls itself cannot pass for what the alert is. */
export const logAlerts =
  (logger: Record<'info' | 'warn' | 'error', Write>): AlertListener =>
  ({ id, task, reason, severity, context }) =>
    logger[LEVELS[severity]]({ ...context, action: 'alert', alert_id: id, task, reason, severity }, 'alert');

/** Counts every alert. */
export const countAlerts =
  (metrics: { alert(task: string, severity: AlertSeverity): void }): AlertListener =>
  ({ task, severity }) =>
    metrics.alert(task, severity);

/** Emits every alert. The emitter itself would not tell the listeners behind one that throws. */
export function emitAlerts(events: AlertEvents, onListenerError: (error: unknown) => void): AlertListener {
  return (alert) => {
    for (const listener of events.rawListeners('alert')) {
      try {
        const result: unknown = Reflect.apply(listener, events, [alert]);
        if (result instanceof Promise) result.catch(onListenerError);
      } catch (error) {
        onListenerError(error);
      }
    }
  };
}
