import { useEffect, useState } from 'preact/hooks';
import { html } from './html.ts';

const SHOWN_MS = 8_000;

/** What was just done: said to who cannot see the page, and shown for a while to who can. */
export function News({ text }: { text: string }) {
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    if (text === '') return undefined;
    setShown(true);
    const timer = setTimeout(() => setShown(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <p class="visually-hidden" role="status">${text}</p>
    ${isShown ? html`<div class="toast" aria-hidden="true">${text}</div>` : null}
  `;
}
