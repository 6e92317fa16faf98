import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api } from '../broker/api.ts';
import type { SandboxPage, SandboxRecord } from '../broker/records.ts';
import { html } from '../html.ts';
import type { Place } from '../place.ts';
import { NO_FILTER } from '../sandboxes/sandbox-pages.ts';

interface LookUpProps {
  api: Api;
  find: string;
  onPlace: (part: Partial<Place>) => void;
  /** To the table, where several are found. */
  onFound: () => void;
}

/**
 * One box for what one has: an id, a whole holder, or the beginning of a name. The one sandbox of that name is opened; else
 * the table has what there is. `/` leads here from anywhere.
 */
export function LookUp({ api, find, onPlace, onFound }: LookUpProps) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(find);
  useEffect(() => setTyped(find), [find]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping = (event.target as Element).matches('input, select, textarea, dialog *');
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);

  async function lookUp(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const text = typed.trim();
    const filter = { ...NO_FILTER, find: text };
    const only = text === '' ? undefined : await onlyOne(api, text);
    onPlace({ filter, sandbox: only?.sandbox_id });
    if (only === undefined) onFound();
  }

  return html`<search class="look-up"><form onSubmit=${lookUp}>
    <label class="visually-hidden" for="look-up">Look up a sandbox</label>
    <input
      id="look-up"
      ref=${field}
      type="search"
      maxlength="128"
      autocomplete="off"
      spellcheck=${false}
      placeholder="Look up: id, holder or name ( / )"
      value=${typed}
      onFocus=${() => field.current?.select()}
      onInput=${(event: Event) => setTyped((event.currentTarget as HTMLInputElement).value)}
    />
  </form></search>`;
}

/** The one sandbox of exactly this id, holder or name; where the broker does not tell, the table says why. */
async function onlyOne(api: Api, text: string): Promise<SandboxRecord | undefined> {
  try {
    const query = new URLSearchParams({ find: text, limit: '2' });
    const { sandboxes } = await api.get<SandboxPage>(`/v1/admin/sandboxes?${query}`);
    const exact = sandboxes.filter((each) =>
      [each.sandbox_id, each.allocated_to_track, each.name].includes(text),
    );
    return exact.length === 1 ? exact[0] : undefined;
  } catch {
    return undefined;
  }
}
