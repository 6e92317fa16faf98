import type { SandboxStatus } from '../broker/records.ts';
import { html } from '../html.ts';
import { STATUS_NAMES } from '../wording.ts';

/** A status in its colour, and in words. */
export function StatusChip({ status }: { status: SandboxStatus }) {
  return html`<span class=${`status ${status}`}>${STATUS_NAMES[status]}</span>`;
}
