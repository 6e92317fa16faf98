import type { SandboxEvent } from '../domain/event.ts';
import { eventRecord } from './sandboxes.ts';

/** What became of a sandbox, as the stream tells it. */
export const changeRecord = (name: string, event: SandboxEvent) => ({
  sandbox_id: event.sandboxId,
  name,
  ...eventRecord(event),
});
export type ChangeRecord = ReturnType<typeof changeRecord>;
