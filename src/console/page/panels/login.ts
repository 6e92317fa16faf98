import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { createApi, explain } from '../broker/api.ts';
import type { SessionRecord } from '../broker/records.ts';
import { html } from '../html.ts';
import { Logo } from '../logo.ts';

interface LoginProps {
  /** The token of this tab from before a reload. */
  remembered: string | undefined;
  /** Why one is here again. */
  message: string | undefined;
  onEnter: (token: string, session: SessionRecord) => void;
  onForget: () => void;
}

/** Asks for a token, and the broker whether it knows it. */
export function Login({ remembered, message, onEnter, onForget }: LoginProps) {
  const [problem, setProblem] = useState(message);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);

  async function enter(token: string): Promise<void> {
    setBusy(true);
    setProblem(undefined);
    try {
      const session = await createApi(token, () => undefined).get<SessionRecord>('/v1/admin/session');
      onEnter(token, session);
    } catch (error) {
      setBusy(false);
      setProblem(wordsFor(error));
      field.current?.focus();
      field.current?.select();
    }
  }

  // With the page itself, not a frame later: whoever types at once would lose the first letters.
  useLayoutEffect(() => {
    if (remembered === undefined) field.current?.focus();
    else void enter(remembered);
  }, []);

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    const token = field.current?.value.trim() ?? '';
    if (token === '') setProblem('Enter a token.');
    else void enter(token);
  }

  return html`
    <main class="login">
      <form class="card" onSubmit=${submit} aria-labelledby="login-title" novalidate>
        <div class="brand"><${Logo} /><h1 id="login-title">Sandbox Broker</h1></div>
        <p class="muted">The operators’ console.</p>
        <label for="token">Admin or viewer token</label>
        <input
          id="token"
          ref=${field}
          type="password"
          autocomplete="off"
          spellcheck=${false}
          aria-invalid=${problem === undefined ? undefined : 'true'}
          aria-describedby="login-problem login-hint"
          defaultValue=${remembered ?? ''}
        />
        <p id="login-problem" class="problem" role="alert">${problem}</p>
        <button type="submit" aria-busy=${isBusy} disabled=${isBusy}>${isBusy ? 'Asking the broker' : 'Log in'}</button>
        ${
          remembered !== undefined && !isBusy
            ? html`<button type="button" class="secondary outline" onClick=${onForget}>Use another token</button>`
            : null
        }
        <small id="login-hint" class="muted">It stays in this tab, and is forgotten when the tab is closed.</small>
      </form>
    </main>
  `;
}

function wordsFor(error: unknown): string {
  const text = explain(error);
  const isTracks =
    typeof error === 'object' && error !== null && 'code' in error && error.code === 'FORBIDDEN';
  return isTracks ? 'This is a track’s token: it opens no console.' : text;
}
