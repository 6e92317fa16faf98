import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { html } from './html.ts';

interface DrawerProps {
  /** Of its class. */
  name: string;
  isOpen: boolean;
  title: string;
  onClose: () => void;
  children?: ComponentChildren;
}

/** A dialog at the side, for what one looks at beside the page. Escape, a click beside it and Back close it. */
export function Drawer({ name, isOpen, title, onClose, children }: DrawerProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    if (isOpen && dialog.current?.open === false) dialog.current.showModal();
    if (!isOpen) dialog.current?.close();
  }, [isOpen]);
  return html`
    <dialog
      class=${`side ${name}`}
      ref=${dialog}
      aria-label=${title}
      onClose=${onClose}
      onClick=${(event: MouseEvent) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="side-content">
        <div class="title-line">
          <h2>${title}</h2>
          <button type="button" class="quiet" autofocus onClick=${() => dialog.current?.close()}>Close</button>
        </div>
        ${isOpen ? children : null}
      </div>
    </dialog>
  `;
}
