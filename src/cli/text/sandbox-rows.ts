import type { SandboxRecord } from '../../client/index.ts';
import { time } from '../output.ts';
import type { Cell } from './table.ts';
import { sandboxStatus } from './tones.ts';

export const SANDBOX_COLUMNS = ['ID', 'NAME', 'STATUS', 'HOLDER', 'LAB', 'EXPIRES'];

/** A sandbox as a line of a list. */
export const sandboxRow = (sandbox: SandboxRecord): Cell[] => [
  sandbox.sandbox_id,
  sandbox.name,
  sandboxStatus(sandbox.status),
  sandbox.allocated_to_track,
  sandbox.track_name,
  time(sandbox.expires_at),
];
