import type { RuntimeCheck } from '../domain/runtime-check.ts';

/** What a check of the store has found. */
export type Finding = Omit<RuntimeCheck, 'name'>;

export const ok = (message: string, details: Record<string, unknown> = {}): Finding => ({
  status: 'ok',
  message,
  details,
});

/** What a check that failed comes to: an engine that does not know the question is not wrong, only silent. */
export const untold = (error: unknown): Finding => ({
  status: 'warning',
  message: 'This store cannot tell; on AWS it can, if the role allows the call.',
  details: { error: error instanceof Error ? error.name : 'unknown' },
});
