import { html } from './html.ts';

/** The broker's mark. It says nothing that the name beside it does not. */
export function Logo() {
  return html`<img class="logo" src="/console/page/icon.svg" alt="" width="32" height="32" />`;
}
