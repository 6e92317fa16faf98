import type { ComponentChildren } from 'preact';
import { html } from './html.ts';

/** The operators' handbook, which the broker serves. */
const HANDBOOK = '/console/operations';

/** A link into the handbook, to the heading `at`; or to where a runbook is, wherever that is kept. */
export function Handbook({ at, to, children }: { at?: string; to?: string; children?: ComponentChildren }) {
  return html`<a class="handbook" href=${to ?? `${HANDBOOK}#${at}`} target="_blank" rel="noopener">${children}</a>`;
}
